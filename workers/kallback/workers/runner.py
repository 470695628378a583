"""Calls of task functions: coroutines as tasks on the loop, plain functions in threads of their own.

Each call owns one future, which ends exactly once with what became of the call. Cancelling a coroutine raises
`asyncio.CancelledError` in it; a thread cannot be stopped, it sees `TaskContext.cancelled`. Threads are daemons and
not a pool: the number of calls is bounded by the worker, and a function that never returns must not keep the
process from ending (an executor's threads are joined at exit).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from dataclasses import dataclass
from typing import Any, final

from kallback.protocol.problems import UNEXPECTED_ERROR
from kallback.workers.context import TaskContext
from kallback.workers.failures import TaskFailure
from kallback.workers.functions import TaskFunction


@dataclass(frozen=True, slots=True)
class Returned:
    """The function returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """The function raised."""

    error: Exception


Ended = Returned | Raised


@final
class Execution:
    """One call of a task function. Made and used on the worker's loop."""

    def __init__(self, function: TaskFunction, request: Any, context: TaskContext) -> None:
        self.context = context
        self._function = function
        self._arguments = function.arguments(request, context)
        self._future: asyncio.Future[Ended] | None = None

    @property
    def begun(self) -> asyncio.Future[Ended] | None:
        """What ends with the call; None before it has begun."""
        return self._future

    def cancel(self) -> None:
        """Nobody waits for the outcome: interrupt a coroutine, tell a thread, do not begin what has not begun."""
        self.context.cancel()
        if self._function.in_loop and self._future is not None:
            self._future.cancel()

    async def ended(self) -> Ended:
        """Begin the call and wait for its end. Cancelling the waiting does not cancel the call."""
        if self.context.cancelled:
            return Raised(_interrupted("CancelledError", "cancelled before it began"))
        self._future = self._in_loop() if self._function.in_loop else self._in_thread()
        await asyncio.wait({self._future})
        if self._future.cancelled():
            return Raised(_interrupted("CancelledError", "the function was cancelled"))
        return self._future.result()

    def _in_loop(self) -> asyncio.Task[Ended]:
        async def call() -> Ended:
            try:
                return Returned(await self._function.function(*self._arguments))
            except SystemExit as error:  # would end the worker, and the next one that gets the record
                return Raised(_interrupted("SystemExit", str(error)))
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told
                return Raised(error)

        return asyncio.create_task(call(), name=f"kallback-task-{self.context.task_id}")

    def _in_thread(self) -> asyncio.Future[Ended]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Ended] = loop.create_future()
        context = contextvars.copy_context()

        def settle(ended: Ended) -> None:
            if not future.done():
                future.set_result(ended)

        def call() -> None:
            ended: Ended = Raised(_interrupted("CancelledError", "the function's thread was interrupted"))
            try:
                ended = Returned(context.run(self._function.function, *self._arguments))
            except SystemExit as error:
                ended = Raised(_interrupted("SystemExit", str(error)))
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told
                ended = Raised(error)
            finally:
                with contextlib.suppress(RuntimeError):  # the loop is closed: the worker is gone, nobody listens
                    loop.call_soon_threadsafe(settle, ended)

        threading.Thread(target=call, name=f"kallback-task-{self.context.task_id}", daemon=True).start()
        return future


def _interrupted(name: str, detail: str) -> TaskFailure:
    return TaskFailure(UNEXPECTED_ERROR, f"{name}: {detail}" if detail else name)
