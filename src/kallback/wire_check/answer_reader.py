"""Reads the two topics of answers. All waiting of a run is reading, so nothing that comes meanwhile is missed.

One task owns it. Cancelling a wait cancels the fetch; what was fetched before has been taken.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from kallback.wire_check.connections import CheckConnections
from kallback.wire_check.ledger import CheckLedger
from kallback.wire_check.observed import Observed

LOOK_S: Final = 1.0
"""How often it is looked whether the worker's process has ended."""

_SKIP_S: Final = 0.5
"""Without a record, after which all that was there has been read."""


class AnswerReader:
    """Takes what comes, for the task that it belongs to.

    Attributes:
        observed: of the check that runs, which gets what belongs to no task.
    """

    def __init__(self, connections: CheckConnections, ledger: CheckLedger) -> None:
        self._connections: Final = connections
        self._ledger: Final = ledger
        self.observed = Observed()

    @property
    def worker_ended(self) -> str:
        """How the worker's process ended without being asked; empty while it runs, or if it is not known."""
        process = self._connections.process
        return "" if process is None else process.ended

    async def skip_earlier(self, timeout: float) -> None:  # noqa: ASYNC109 - for each topic, which need not be empty
        """Pass over what other runs have left in the topics."""
        for reader in (self._connections.results, self._connections.progress):
            end = time.monotonic() + timeout
            while not reader.caught_up.is_set() and time.monotonic() < end:
                await reader.fetch(LOOK_S)

    async def skip_new(self, timeout: float) -> None:  # noqa: ASYNC109 - as above
        """Pass over what has come meanwhile, such as answers to records of before the check."""
        for reader in (self._connections.results, self._connections.progress):
            end = time.monotonic() + timeout
            while time.monotonic() < end and await reader.fetch(_SKIP_S):
                pass

    async def wait(self, seconds: float) -> None:
        """Read for so long, or until the worker has ended."""
        await self.wait_for(lambda: False, seconds)

    async def wait_for(self, done: Callable[[], bool], seconds: float) -> bool:
        """Read until something is the case, the time is over, or the worker has ended; returns whether it is."""
        end = time.monotonic() + seconds
        while not done():
            left = end - time.monotonic()
            if left <= 0 or self.worker_ended:
                return False
            await self.take(min(left, LOOK_S))
        return True

    async def take(self, seconds: float = 0) -> None:
        """Take the next records of either topic; in no seconds, those that were fetched already."""
        fetches = {
            asyncio.ensure_future(self._connections.results.fetch(seconds)): self._ledger.take_result,
            asyncio.ensure_future(self._connections.progress.fetch(seconds)): self._ledger.take_progress,
        }
        try:
            await asyncio.wait(fetches, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for fetch in fetches:
                fetch.cancel()
            await asyncio.wait(fetches)
        for fetch, take in fetches.items():
            for record in () if fetch.cancelled() else fetch.result():
                take(record, self.observed, time.monotonic())
