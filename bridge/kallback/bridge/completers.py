"""The seam through which completions reach Restate.

One method takes a batch and returns a reply for each: HTTP ingress takes one at a time, a batching service or a
stream takes what is there. Everything about order, retries and outages is the dispatcher's, so that a completer is
one small file and its fake is a function.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from kallback.bridge.replies import Reply
from kallback.bridge.verify import Target
from kallback.protocol import Answer


class Completion(msgspec.Struct, frozen=True):
    """One answer for one awakeable, of proven origin and proven to be JSON.

    Attributes:
        token: the text as the worker echoed it, for completers whose other side verifies by itself. Secret.
        target: what it completes.
        answer: what the worker said, or what is said in its place.
    """

    token: str
    target: Target
    answer: Answer

    def __repr__(self) -> str:
        return f"Completion({type(self.target).__name__}, {type(self.answer).__name__})"


@runtime_checkable
class Completer(Protocol):
    """Hands completions to Restate."""

    @property
    def batch_limit(self) -> int:
        """How many completions one call takes."""
        ...

    async def start(self) -> None:
        """Get ready; Restate need not be there yet.

        Raises:
            ConfigurationError: settings that can never work.
        """
        ...

    async def complete(self, batch: Sequence[Completion]) -> Sequence[Reply]:
        """Complete each of a batch, in any order; calls overlap.

        Returns:
            A reply for each completion, in the order of the batch. Failures are replies, never exceptions; the
            call ends by itself within the request time-out. Cancelling may leave completions delivered.
        """
        ...

    async def stop(self) -> None:
        """Close connections; stopping twice is fine."""
        ...


class FunctionCompleter:
    """A completer made of a function, for tests and experiments.

    Args:
        complete: called with each completion; returns what Restate would reply.
        batch_limit: how many completions one call takes.
    """

    def __init__(self, complete: Callable[[Completion], Awaitable[Reply]], *, batch_limit: int = 1) -> None:
        self._complete = complete
        self._batch_limit = batch_limit

    @property
    def batch_limit(self) -> int:
        """How many completions one call takes."""
        return self._batch_limit

    async def start(self) -> None:
        """Nothing to get ready."""

    async def complete(self, batch: Sequence[Completion]) -> Sequence[Reply]:
        """Ask the function, one after the other."""
        return [await self._complete(completion) for completion in batch]

    async def stop(self) -> None:
        """Nothing to close."""
