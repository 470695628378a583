"""Questions to one server that are asked in turn, and wait for its failure once.

Where a server does not answer, each question takes its whole timeout. So a question that waits for its turn meanwhile
fails with the one before it; a later one is asked.

Cancellation of a question leaves the turn to the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kallback.protocol.errors import KallbackError

Answer = TypeVar("Answer")


class InTurn:
    """Asks one question at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._failure: KallbackError | None = None

    async def ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the answer; raises what the question raises, or what the one before it raised meanwhile."""
        before = self._failure
        async with self._turn:
            if self._failure is not None and self._failure is not before:
                raise self._failure
            try:
                return await question()
            except KallbackError as error:
                self._failure = error
                raise
