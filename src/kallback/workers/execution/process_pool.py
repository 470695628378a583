"""The child processes of a worker: a slot per call that runs at the same time, made when it is first needed.

Owned by the event loop. Cancellation: the child is asked; a grace later it is sent SIGTERM, a second later SIGKILL. The
slot then starts another child. Nothing here waits for Kafka, and nothing on the loop waits for a child.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from kallback.protocol.errors import ConfigurationError
from kallback.workers.context import TaskContext
from kallback.workers.execution.messages import ContextParts, Job
from kallback.workers.execution.outcomes import CallOutcome, Raised
from kallback.workers.execution.process_slot import ProcessCall, ProcessSlot
from kallback.workers.logs import guarded_logger
from kallback.workers.pickling import pickled
from kallback.workers.registration.functions import TaskFunction
from kallback.workers.stop_reason import StopReason

logger = guarded_logger(__name__)

_KILL_DELAY_S: Final = 1.0  # from SIGTERM to SIGKILL
_STOP_TIMEOUT_S: Final = 8.0  # for slots to end after SIGKILL; above what a slot waits for its child


class ProcessPool:
    """The slots of a worker; there are as many as calls ran at the same time, never more.

    Args:
        cancel_grace: seconds from a cancel to SIGTERM.
        call_later: of the worker's supervisor: a timer that fails is reported.
    """

    def __init__(self, cancel_grace: float, call_later: Callable[[float, str, Callable[[], object]], object]) -> None:
        self._cancel_grace: Final = cancel_grace
        self._call_later: Final = call_later
        self._numbers: Final = itertools.count(1)
        self._idle: Final = list[ProcessSlot]()
        self._busy: Final = dict[ProcessSlot, ProcessCall]()

    def start(
        self, function: TaskFunction, request: Any, context: TaskContext, on_heartbeat: Callable[[bytes], None]
    ) -> ProcessCall:
        """Call a function in a child; the call's future ends with it.

        A request that cannot be pickled ends it at once.

        Raises:
            NotStartedError: there is no thread for another slot.
        """
        future: asyncio.Future[CallOutcome] = asyncio.get_running_loop().create_future()
        try:
            data = pickled((function.function, request, function.takes_context))
        except Exception as error:  # noqa: BLE001 - classes of the user may raise anything
            future.set_result(Raised(error))
            data = b""
        call = ProcessCall(Job(next(self._numbers), data, _parts_of(context)), on_heartbeat, future)
        if not future.done():
            slot = self._idle.pop() if self._idle else ProcessSlot(self._on_free)
            self._busy[slot] = call
            slot.submit(call)
        return call

    def cancel(self, call: ProcessCall, reason: StopReason) -> None:
        """Ask the child to end the call, and say why; end the child after the grace."""
        slot = self._slot_of(call)
        if slot is None or call.cancelled:
            return
        call.cancelled = True
        slot.tell(call, reason)
        self._call_later(self._cancel_grace, "terminate", partial(self._terminate, call))

    async def stop(self) -> None:
        """End all children and what they have started; return when none is left, or after a bounded time."""
        slots = [*self._idle, *self._busy]
        if not slots:
            return
        for slot in slots:
            slot.close()
        for slot in list(self._busy):
            slot.terminate()
        ends = {asyncio.create_task(slot.ended.wait(), name="kallback-slot-end") for slot in slots}
        await asyncio.wait(ends, timeout=_KILL_DELAY_S)
        for slot in list(self._busy):
            slot.kill()
        _, late = await asyncio.wait(ends, timeout=_STOP_TIMEOUT_S)
        for end in late:
            end.cancel()
        if late:
            logger.error("%d child processes have not ended %.0f s after they were killed", len(late), _STOP_TIMEOUT_S)
        self._idle.clear()

    def _terminate(self, call: ProcessCall) -> None:
        if (slot := self._slot_of(call)) is not None:
            slot.terminate()
            self._call_later(_KILL_DELAY_S, "kill", partial(self._kill, call))

    def _kill(self, call: ProcessCall) -> None:
        if (slot := self._slot_of(call)) is not None:
            slot.kill()

    def _slot_of(self, call: ProcessCall) -> ProcessSlot | None:
        return next((slot for slot, busy in self._busy.items() if busy is call), None)

    def _on_free(self, slot: ProcessSlot) -> None:
        del self._busy[slot]
        self._idle.append(slot)


def check_importable(function: TaskFunction) -> None:
    """Make sure that a child finds the function under its name; to be called once its module is complete.

    Raises:
        ConfigurationError: it would not.
    """
    try:
        pickled(function.function)
    except Exception as error:  # noqa: BLE001 - pickling raises several things
        raise ConfigurationError(
            f"{function.name} cannot be called in a process: {error}. A child imports it by its name: define it at the "
            "top level of a module, with @worker.task(...) as its outermost decorator"
        ) from None


def check_not_in_new_child() -> None:
    """Make sure that this process is no child that imports its worker's main module, to find a function there.

    It would become a worker itself, and its job would never begin.

    Raises:
        ConfigurationError: it is one.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as `multiprocessing` asks itself
        raise ConfigurationError(
            "a child process imports the main module of its worker, and that starts a worker: put the lines that "
            'start it below `if __name__ == "__main__":`'
        )


def _parts_of(context: TaskContext) -> ContextParts:
    return ContextParts(
        context.task_id,
        context.attempt,
        context.task_type,
        context.deadline,
        context.traceparent,
        context.tracestate,
        context.last_details,
        context.is_traced,
    )
