"""The child processes of a worker: a slot per call that runs at the same time, made when it is first needed.

Owned by the event loop. Cancel: the child is asked; a grace later it is sent SIGTERM, a second later SIGKILL. The slot
then has a process anew. Nothing here waits for Kafka, and nothing on the loop waits for a child.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from kallback.protocol.errors import ConfigurationError
from kallback.workers.context import TaskContext
from kallback.workers.execution.messages import ContextParts, Job
from kallback.workers.execution.outcomes import CallOutcome, Raised
from kallback.workers.execution.process_slot import Call, ProcessSlot
from kallback.workers.pickling import pickled
from kallback.workers.registration.functions import TaskFunction

_KILL_AFTER: Final = 1.0  # seconds from SIGTERM to SIGKILL


@dataclass(slots=True)
class ProcessPool:
    """The slots of a worker; there are as many as calls ran at the same time, never more.

    Attributes:
        grace: seconds from a cancel to SIGTERM.
    """

    grace: float
    _numbers: itertools.count[int] = field(init=False, default_factory=lambda: itertools.count(1))
    _idle: list[ProcessSlot] = field(init=False, default_factory=list[ProcessSlot])
    _busy: dict[ProcessSlot, Call] = field(init=False, default_factory=dict[ProcessSlot, Call])

    def begin(self, function: TaskFunction, request: Any, context: TaskContext, beat: Callable[[bytes], None]) -> Call:
        """Call a function in a child; the call's future ends with it.

        A request that cannot be pickled ends it at once.
        """
        future: asyncio.Future[CallOutcome] = asyncio.get_running_loop().create_future()
        try:
            data = pickled((function.function, request, function.takes_context))
        except Exception as error:  # noqa: BLE001 - classes of the user may raise anything
            future.set_result(Raised(error))
            data = b""
        call = Call(Job(next(self._numbers), data, _parts_of(context)), beat, future)
        if not future.done():
            slot = self._idle.pop() if self._idle else ProcessSlot(self._freed)
            self._busy[slot] = call
            slot.give(call)
        return call

    def cancel(self, call: Call) -> None:
        """Ask the child, end it after the grace."""
        slot = self._slot_of(call)
        if slot is None or call.cancelled:
            return
        call.cancelled = True
        slot.tell(call)
        loop = asyncio.get_running_loop()
        loop.call_later(self.grace, self._end, call, loop)

    async def stop(self) -> None:
        """End all children; return when none is left."""
        slots = [*self._idle, *self._busy]
        for slot in slots:
            slot.close()
        for slot in list(self._busy):
            slot.terminate()
        ends = asyncio.gather(*(slot.ended.wait() for slot in slots))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KILL_AFTER):
                await asyncio.shield(ends)
        for slot in list(self._busy):
            slot.kill()
        await ends
        self._idle.clear()

    def _end(self, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        if (slot := self._slot_of(call)) is not None:
            slot.terminate()
            loop.call_later(_KILL_AFTER, self._kill, call)

    def _kill(self, call: Call) -> None:
        if (slot := self._slot_of(call)) is not None:
            slot.kill()

    def _slot_of(self, call: Call) -> ProcessSlot | None:
        return next((slot for slot, busy in self._busy.items() if busy is call), None)

    def _freed(self, slot: ProcessSlot) -> None:
        del self._busy[slot]
        self._idle.append(slot)


def check_importable(function: TaskFunction) -> None:
    """Make sure that a child finds the function under its name; to be asked once its module is complete.

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


def _parts_of(context: TaskContext) -> ContextParts:
    return ContextParts(
        context.task_id,
        context.attempt,
        context.task_type,
        context.deadline,
        context.traceparent,
        context.tracestate,
        context.last_details,
    )
