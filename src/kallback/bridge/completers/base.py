"""The seam through which completions reach Restate.

A completer takes a batch and tells a reply for each: HTTP ingress takes one at a time, a batching service or a stream
takes what is there. It is told by a callback, because a task and a future for each completion cost as much as
deciding on it. Everything about order, retries and outages is the dispatcher's, so that a completer is one small file
and its fake is a function.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from kallback.bridge.completers.replies import Reply, Retry
from kallback.bridge.results.completion import Completion

Answered = Callable[[Sequence[Reply]], None]
"""Told a reply for each completion, in the order of the batch."""


@runtime_checkable
class Completer(Protocol):
    """Hands completions to Restate."""

    @property
    def batch_limit(self) -> int:
        """How many completions one `send` takes."""
        ...

    @property
    def send_limit(self) -> int:
        """How many sends may be under way at one time; the dispatcher keeps to it, and to its own concurrency."""
        ...

    async def start(self) -> None:
        """Get ready; Restate need not be there yet.

        Raises:
            ConfigurationError: settings that can never work.
        """
        ...

    def send(self, batch: Sequence[Completion], answered: Answered) -> None:
        """Complete each of a batch, in any order; never blocks.

        Failures are replies. `answered` is called once, after `send` has returned and within the request time-out;
        a stop calls it for what is still under way, which may have been delivered.
        """
        ...

    async def stop(self) -> None:
        """Close connections; stopping twice is fine."""
        ...


async def complete(completer: Completer, batch: Sequence[Completion]) -> Sequence[Reply]:
    """Send a batch and wait for the replies, where one completion is all there is: a command, a test."""
    came: asyncio.Future[Sequence[Reply]] = asyncio.get_running_loop().create_future()
    completer.send(batch, lambda replies: None if came.done() else came.set_result(replies))
    return await came


class FunctionCompleter:
    """A completer made of a function, for tests and experiments.

    Args:
        complete: called with each completion; returns what Restate would reply.
        batch_limit: how many completions one `send` takes.
        send_limit: how many sends may be under way.
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
        """How many completions one `send` takes."""
        return self._batch_limit

    @property
    def send_limit(self) -> int:
        """How many sends may be under way."""
        return self._send_limit

    async def start(self) -> None:
        """Nothing to get ready."""

    def send(self, batch: Sequence[Completion], answered: Answered) -> None:
        """Ask the function in a task."""

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
        """Ask the function, one after the other."""
        return [await self._complete(completion) for completion in batch]

    async def stop(self) -> None:
        """Cancel what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
