"""The interface through which completions reach Restate.

A completer takes a batch and reports a reply for each completion: HTTP ingress takes one at a time, a batching service
takes what is there. It reports through a callback, because a task and a future for each completion cost as much as the
decision on it. Order, retries and outages are the dispatcher's, so a completer is one small file and its fake is a
function.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from kallback.bridge.completers.replies import Reply, Retry
from kallback.bridge.results.completion import Completion

Answered = Callable[[Sequence[Reply]], None]
"""Called with a reply for each completion, in the order of the batch."""


@runtime_checkable
class Completer(Protocol):
    """Sends completions to Restate."""

    @property
    def batch_limit(self) -> int:
        """Maximum number of completions of one `send`."""
        ...

    @property
    def send_limit(self) -> int:
        """Maximum number of sends under way; the dispatcher keeps to it, and to its own concurrency."""
        ...

    async def start(self) -> None:
        """Get ready; Restate may be unavailable.

        Raises:
            ConfigurationError: settings that cannot work.
        """
        ...

    def send(self, batch: Sequence[Completion], answered: Answered) -> None:
        """Complete each of a batch, in any order; never blocks.

        Failures are replies. `answered` is called once, after `send` has returned and within the request timeout;
        `stop` calls it for what is still under way, which may have been delivered.
        """
        ...

    async def stop(self) -> None:
        """Close connections; stopping twice is fine."""
        ...


async def complete(completer: Completer, batch: Sequence[Completion]) -> Sequence[Reply]:
    """Send a batch and wait for the replies: for a command or a test, which completes one awakeable."""
    came: asyncio.Future[Sequence[Reply]] = asyncio.get_running_loop().create_future()
    completer.send(batch, lambda replies: None if came.done() else came.set_result(replies))
    return await came


class FunctionCompleter:
    """A completer that calls a function, for tests and experiments.

    Args:
        complete: called with each completion; returns what Restate would reply.
        batch_limit: maximum number of completions of one `send`.
        send_limit: maximum number of sends under way.
    """

    def __init__(
        self, complete: Callable[[Completion], Awaitable[Reply]], *, batch_limit: int = 1, send_limit: int = 64
    ) -> None:
        self._complete = complete
        self._batch_limit = batch_limit
        self._send_limit = send_limit
        self._tasks: set[asyncio.Task[Sequence[Reply]]] = set()

    @property
    def batch_limit(self) -> int:
        """Maximum number of completions of one `send`."""
        return self._batch_limit

    @property
    def send_limit(self) -> int:
        """Maximum number of sends under way."""
        return self._send_limit

    async def start(self) -> None:
        """Do nothing."""

    def send(self, batch: Sequence[Completion], answered: Answered) -> None:
        """Call the function in a task."""

        def ended(task: asyncio.Task[Sequence[Reply]]) -> None:
            self._tasks.discard(task)
            error = None if task.cancelled() else task.exception()
            if task.cancelled() or error is not None:
                detail = f"the completer failed: {type(error).__name__}: {error}"
                answered([Retry("defect", detail) for _ in batch])
            else:
                answered(task.result())

        task = asyncio.get_running_loop().create_task(self.complete(batch), name="kallback-bridge-completion")
        self._tasks.add(task)
        task.add_done_callback(ended)

    async def complete(self, batch: Sequence[Completion]) -> Sequence[Reply]:
        """Call the function for one completion after the other."""
        return [await self._complete(completion) for completion in batch]

    async def stop(self) -> None:
        """Cancel sends in progress."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
