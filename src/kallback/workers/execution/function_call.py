"""Calls of task functions: coroutines as tasks on the loop, plain functions in threads or in child processes.

Each call owns one future, which ends exactly once with what became of the call, whatever the function raises. A stopped
coroutine gets `asyncio.CancelledError`; a thread cannot be stopped, it sees `TaskContext.cancelled`; a process sees
it, too, and is ended after a grace. Threads are daemons and not a pool: the number of calls is bounded by the
worker, and a function that never returns must not keep the process from ending (an executor's threads are joined at
exit).

While the operating system gives no thread or process, the call is tried again, for a bounded time.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any, Final, final

from kallback.lifecycle import Backoff
from kallback.workers.context import TaskContext
from kallback.workers.errors import interrupted
from kallback.workers.execution.outcomes import CallOutcome, NotStartedError, Raised, Returned
from kallback.workers.execution.process_pool import ProcessPool
from kallback.workers.registration.functions import TaskFunction
from kallback.workers.registration.options import Executor
from kallback.workers.stop_reason import StopReason

NAME: Final = "kallback-task-"
"""Begins the name of the asyncio task or thread of a call; the task's label follows."""

_START_TIMEOUT_S: Final = 30.0  # for a thread or process: shortages pass in seconds, or need an operator
_BACKOFF: Final = Backoff(first=0.05, longest=1.0)


@final
class FunctionCall:
    """One call of a task function. Made and used on the worker's loop.

    Args:
        function: what is called.
        request: with what.
        context: and with this, if it takes it.
        process_pool: where functions with executor "process" run; the others need none.
        on_heartbeat: takes heartbeat details that come from another process.
        cancel_hash: the task's, to tell authentic cancels from forged ones.
    """

    def __init__(
        self,
        function: TaskFunction,
        request: Any,
        context: TaskContext,
        process_pool: ProcessPool | None = None,
        on_heartbeat: Callable[[bytes], None] = lambda _details: None,
        cancel_hash: str | None = None,
    ) -> None:
        self.context: Final = context
        self.cancel_hash: Final = cancel_hash
        self.stopped: StopReason | None = None
        self.is_expired = False
        """Whether it was stopped because its deadline has passed here, which the caller did not say."""
        self.started_at: float | None = None
        """When the function was called, as `time.monotonic`."""
        self.waits_for_start = False
        """Whether the operating system gave no thread or process, and it is tried again."""
        self._function: Final = function
        self._request: Final = request
        self._process_pool: Final = process_pool
        self._on_heartbeat: Final = on_heartbeat
        self._future: asyncio.Future[CallOutcome] | None = None
        self._given_up = False
        self._waiting: asyncio.Future[None] | None = None
        """What `outcome` waits for: the end of the function, or that it is given up."""
        self._interrupt: Callable[[StopReason], object] = _nothing

    @property
    def running(self) -> asyncio.Future[CallOutcome] | None:
        """What ends with the call; None before it has begun."""
        return self._future

    @property
    def is_stoppable(self) -> bool:
        """Whether it runs or is about to, and was not stopped before."""
        return self.stopped is None and not (self._future is not None and self._future.done())

    def seconds(self, now: float) -> float:
        """Seconds since the function was called, 0 before; `now` is of `time.monotonic`."""
        return 0.0 if self.started_at is None else now - self.started_at

    def stop(self, reason: StopReason) -> None:
        """Interrupt the function, or do not begin what has not begun: its outcome is not needed."""
        self.stopped = self.stopped or reason
        self.context.cancel(self.stopped)
        self._interrupt(self.stopped)

    def expire(self) -> None:
        """Stop it because its deadline has passed."""
        self.is_expired = True
        self.stop(StopReason.TIMED_OUT)

    def give_up(self) -> None:
        """Wait no longer for a stopped function that does not end: `outcome` returns."""
        self._given_up = True
        self._wake()

    async def outcome(self) -> CallOutcome:
        """Call the function and wait for its end. Cancelling the waiting does not cancel the call."""
        give_up_at, failures = time.monotonic() + _START_TIMEOUT_S, 0
        while True:
            outcome = await self._try()
            if not (isinstance(outcome, Raised) and isinstance(outcome.error, NotStartedError)):
                return outcome
            failures += 1
            if time.monotonic() > give_up_at:
                return outcome
            if failures == 1:
                self.context.log.warning("waits: %s", outcome.error)
            self.waits_for_start = True
            await asyncio.sleep(_BACKOFF.delay(failures))

    async def _try(self) -> CallOutcome:
        if self.context.cancelled:
            return Raised(interrupted("CancelledError", "cancelled before it began"))
        self.started_at = time.monotonic()
        try:
            self._future = self._start()
        except NotStartedError as error:
            return Raised(error)
        self.waits_for_start = False
        await self._end(self._future)
        if not self._future.done() or self._future.cancelled():
            return Raised(interrupted("CancelledError", "the function was cancelled"))
        return self._future.result()

    async def _end(self, future: asyncio.Future[CallOutcome]) -> None:
        if not self._given_up:
            self._waiting = future.get_loop().create_future()
            future.add_done_callback(self._wake)
            await self._waiting

    def _wake(self, _future: asyncio.Future[CallOutcome] | None = None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _start(self) -> asyncio.Future[CallOutcome]:
        match self._function.executor:
            case Executor.LOOP:
                task = self._start_on_loop()
                self._interrupt = lambda _reason: task.cancel()
                return task
            case Executor.THREAD:
                return self._start_thread()
            case Executor.PROCESS:
                return self._start_in_process()

    def _start_on_loop(self) -> asyncio.Task[CallOutcome]:
        arguments = self._function.arguments(self._request, self.context)

        async def call() -> CallOutcome:
            try:
                return Returned(await self._function.function(*arguments))
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001 - a SystemExit, too, would end the worker, and the next one
                return Raised(error)

        return asyncio.create_task(call(), name=f"{NAME}{self.context.log.label}")

    def _start_thread(self) -> asyncio.Future[CallOutcome]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[CallOutcome] = loop.create_future()
        context = contextvars.copy_context()
        arguments = self._function.arguments(self._request, self.context)

        def settle(outcome: CallOutcome) -> None:
            if not future.done():
                future.set_result(outcome)

        def call() -> None:
            try:
                outcome: CallOutcome = Returned(context.run(self._function.function, *arguments))
            except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is told
                outcome = Raised(error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: the worker is gone, nothing waits
                loop.call_soon_threadsafe(settle, outcome)

        thread = threading.Thread(target=call, name=f"{NAME}{self.context.log.label}", daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            raise NotStartedError(f"no thread can be started: {error}") from error
        return future

    def _start_in_process(self) -> asyncio.Future[CallOutcome]:
        pool = self._process_pool
        if pool is None:
            raise RuntimeError("a function with executor='process' was called without a process pool")
        call = pool.start(self._function, self._request, self.context, self._on_heartbeat)
        self._interrupt = lambda reason: pool.cancel(call, reason)
        return call.future


def _nothing(_reason: StopReason) -> None:
    pass
