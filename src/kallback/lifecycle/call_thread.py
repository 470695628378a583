"""One daemon thread that makes blocking calls for an event loop, one after the other.

An executor of `concurrent.futures` is not enough where a call may hang: the interpreter joins the threads of executors
when it exits, so a call that does not return keeps the process alive.

Ownership: the part that creates it owns it and closes it; it belongs to the loop that submits. Order: calls run in the
order in which they were submitted. Cancellation: a cancelled future ends the waiting only; the call goes on.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class _Call(NamedTuple):
    make: Callable[[], Any]
    future: asyncio.Future[Any]


class CallThread:
    """Runs blocking calls in a thread of its own; the thread starts with the first call.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Run a call behind those that were submitted before; the future has its result or its error.

        Raises:
            RuntimeError: the operating system starts no more threads.
        """
        if self._thread is None:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            thread.start()
            self._thread = thread  # after a shortage of threads the next call tries again
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put(_Call(call, future))
        return future

    def close(self) -> None:
        """End the thread behind the last call; does not wait."""
        self._calls.put(None)

    async def finish(self, call: Callable[[], object], timeout: float) -> None:  # noqa: ASYNC109 - no deadline on work
        """Run a last call, such as the closing of a client, behind those that were submitted; end the thread.

        Raises:
            TimeoutError: it did not end within the timeout, in seconds; it is left behind with its thread.
            Exception: what the call raised.
        """
        last = self.submit(call)
        self.close()
        done, _ = await asyncio.wait({last}, timeout=timeout)
        if not done:
            last.cancel()
            raise TimeoutError(f"no end within {timeout:g} s")
        last.result()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            result: Any = None
            error: BaseException | None = None
            try:
                result = call.make()
            except BaseException as caught:  # noqa: BLE001 - the caller is told, whatever it is
                error = caught
            try:
                call.future.get_loop().call_soon_threadsafe(_settle, call.future, result, error)
            except RuntimeError:  # the loop is closed: nothing waits
                return


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, Exception) and not isinstance(error, StopIteration):
        future.set_exception(error)
    else:
        future.set_exception(RuntimeError(f"a call ended with {error!r}"))
