"""Calls of task functions: coroutines as tasks on the loop, plain functions in threads or in child processes.

Each call owns one future, which ends exactly once with what became of the call. Stopping a coroutine raises
`asyncio.CancelledError` in it; a thread cannot be stopped, it sees `TaskContext.cancelled`; a process sees it, too, and
is ended after a grace. Threads are daemons and not a pool: the number of calls is bounded by the worker, and a
function that never returns must not keep the process from ending (an executor's threads are joined at exit).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any, Final, final

from kallback.workers.context import TaskContext
from kallback.workers.errors import interrupted
from kallback.workers.execution.outcomes import CallOutcome, Raised, Returned, StopReason
from kallback.workers.execution.process_pool import ProcessPool
from kallback.workers.registration.functions import TaskFunction
from kallback.workers.registration.options import Executor

NAME: Final = "kallback-task-"
"""Begins the name of the asyncio task or thread of a call; the task's label follows."""


@final
class FunctionCall:
    """One call of a task function. Made and used on the worker's loop.

    Args:
        function: what is called.
        request: with what.
        context: and with this, if it takes it.
        processes: where functions with executor "process" run; the others need none.
        beat: takes heartbeat details that come from another process.
    """

    def __init__(
        self,
        function: TaskFunction,
        request: Any,
        context: TaskContext,
        processes: ProcessPool | None = None,
        beat: Callable[[bytes], None] = lambda _details: None,
    ) -> None:
        self.context = context
        self.stopped: StopReason | None = None
        self.began_at: float | None = None
        """When the call began, as `time.monotonic`."""
        self._function = function
        self._request = request
        self._process_pool = processes
        self._beat = beat
        self._future: asyncio.Future[CallOutcome] | None = None
        self._interrupt: Callable[[], object] = _nothing

    @property
    def begun(self) -> asyncio.Future[CallOutcome] | None:
        """What ends with the call; None before it has begun."""
        return self._future

    def stop(self, why: StopReason) -> None:
        """Nobody waits for the outcome: interrupt the function, or do not begin what has not begun."""
        self.stopped = self.stopped or why
        self.context.cancel()
        self._interrupt()

    async def ended(self) -> CallOutcome:
        """Begin the call and wait for its end. Cancelling the waiting does not cancel the call."""
        if self.context.cancelled:
            return Raised(interrupted("CancelledError", "cancelled before it began"))
        self.began_at = time.monotonic()
        self._future = self._begin()
        await asyncio.wait({self._future})
        if self._future.cancelled():
            return Raised(interrupted("CancelledError", "the function was cancelled"))
        return self._future.result()

    def _begin(self) -> asyncio.Future[CallOutcome]:
        match self._function.executor:
            case Executor.LOOP:
                call = self._in_loop()
                self._interrupt = call.cancel
                return call
            case Executor.THREAD:
                return self._in_thread()
            case Executor.PROCESS:
                return self._in_process()

    def _in_loop(self) -> asyncio.Task[CallOutcome]:
        arguments = self._function.arguments(self._request, self.context)

        async def call() -> CallOutcome:
            try:
                return Returned(await self._function.function(*arguments))
            except SystemExit as error:  # would end the worker, and the next one that gets the record
                return Raised(interrupted("SystemExit", str(error)))
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told
                return Raised(error)

        return asyncio.create_task(call(), name=f"{NAME}{self.context.log.label}")

    def _in_thread(self) -> asyncio.Future[CallOutcome]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[CallOutcome] = loop.create_future()
        context = contextvars.copy_context()
        arguments = self._function.arguments(self._request, self.context)

        def settle(ended: CallOutcome) -> None:
            if not future.done():
                future.set_result(ended)

        def call() -> None:
            ended: CallOutcome = Raised(interrupted("CancelledError", "the function's thread was interrupted"))
            try:
                ended = Returned(context.run(self._function.function, *arguments))
            except SystemExit as error:
                ended = Raised(interrupted("SystemExit", str(error)))
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told
                ended = Raised(error)
            finally:
                with contextlib.suppress(RuntimeError):  # the loop is closed: the worker is gone, nobody listens
                    loop.call_soon_threadsafe(settle, ended)

        threading.Thread(target=call, name=f"{NAME}{self.context.log.label}", daemon=True).start()
        return future

    def _in_process(self) -> asyncio.Future[CallOutcome]:
        processes = self._process_pool
        if processes is None:
            raise RuntimeError("a function with executor='process' was called without a process pool")
        call = processes.begin(self._function, self._request, self.context, self._beat)
        self._interrupt = lambda: processes.cancel(call)
        return call.future


def _nothing() -> None:
    pass
