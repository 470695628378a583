"""The good calls that go on while an attack runs: started at a steady rate, however long the others wait."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Final

from benchmarks.poster import Poster

RATE: Final = 20.0
"""Calls a second."""
_CONNECTIONS: Final = 400
_TICK_S: Final = 0.02


class Calls:
    """Calls handlers, and knows how long each waits.

    A wait is counted from the time for which the call was planned, and goes on while it is not answered.

    Args:
        url: Restate's ingress.

    Attributes:
        answered: how many have their answer.
        failures: what was answered in place of the right value.
    """

    def __init__(self, url: str) -> None:
        self._poster = Poster(url, connections=_CONNECTIONS)
        self._waiting: dict[asyncio.Task[None], float] = {}
        self._running: list[asyncio.Task[None]] = []
        self._waits_s: dict[float, float] = {}
        self._lag_s = 0.0
        self.answered = 0
        self.failures: list[str] = []

    async def start(self) -> None:
        """Begin."""
        self._running = [asyncio.create_task(self._place()), asyncio.create_task(self._watch_the_clock())]

    async def stop(self, patience: float) -> None:
        """Begin no more calls, and wait for those that are open, at most `patience` seconds."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=patience)
        open_calls = list(self._waiting)
        self.failures += ["not answered"] * len(open_calls)
        self._waits_s = self._all_waits()
        for task in open_calls:
            task.cancel()
        await asyncio.gather(*open_calls, return_exceptions=True)

    def forget_the_past(self) -> None:
        """What is measured begins now."""
        self._lag_s, self.answered = 0.0, 0
        self._waits_s.clear()
        self.failures.clear()

    def longest_wait(self) -> float:
        """Seconds, of the answered calls and of the open ones."""
        return max(self._all_waits().values(), default=0.0)

    def median_wait(self, until: float) -> float:
        """Seconds, of the calls that were planned before the time `until` of the monotonic clock."""
        return statistics.median([wait for planned, wait in self._all_waits().items() if planned < until] or [0.0])

    def _all_waits(self) -> dict[float, float]:
        """Each wait by the time for which its call was planned."""
        now = time.monotonic()
        return self._waits_s | {planned: now - planned for planned in self._waiting.values()}

    @property
    def lag_s(self) -> float:
        """The longest time by which this process itself was late."""
        return self._lag_s

    async def _place(self) -> None:
        began = time.monotonic()
        number = 0
        while True:
            planned = began + number / RATE
            await asyncio.sleep(max(0.0, planned - time.monotonic()))
            task = asyncio.create_task(self._call(number, planned))
            self._waiting[task] = planned
            task.add_done_callback(lambda done: self._waiting.pop(done, None))
            number += 1

    async def _call(self, number: int, planned: float) -> None:
        try:
            answer = await self._poster.post("/Attacked/call", b"%d" % number)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.failures.append(str(error)[:200])
            return
        self._waits_s[planned] = time.monotonic() - planned
        if answer == b"%d" % (number + 1):
            self.answered += 1
        else:
            self.failures.append(f"a wrong answer: {answer[:200]!r}")

    async def _watch_the_clock(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(_TICK_S)
            self._lag_s = max(self._lag_s, time.monotonic() - before - _TICK_S)
