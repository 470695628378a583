"""Deliveries that wait for their next attempt, and the one timer that hands them back when it is due."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from kallback.bridge.in_flight.deliveries import Delivery
from kallback.lifecycle import Supervisor


class RetryQueue:
    """A heap of deliveries by the time of their next attempt.

    Ownership: one timer, for the earliest of them. Order: by due time, then by insertion. `stop` cancels the timer;
    what waits is not handed back.

    Args:
        submit: called with each delivery that is due.
        supervisor: told when `submit` raises.
    """

    def __init__(self, submit: Callable[[Delivery], object], supervisor: Supervisor) -> None:
        self._submit = submit
        self._wake = supervisor.guard("the retry timer", self._hand_back)
        self._waiting: list[tuple[float, int, Delivery]] = []
        self._sequence = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, delivery: Delivery, due: float) -> None:
        """Hand a delivery back at `due`, in seconds of the event loop's clock."""
        self._sequence += 1
        heapq.heappush(self._waiting, (due, self._sequence, delivery))
        if self._waiting[0][2] is delivery:
            self._arm()

    def stop(self) -> None:
        """Hand back nothing more; stopping twice is fine."""
        self._stopped = True
        self._cancel()

    def _hand_back(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        try:
            while self._waiting and self._waiting[0][0] <= now:
                self._submit(heapq.heappop(self._waiting)[2])
        finally:
            self._arm()

    def _arm(self) -> None:
        self._cancel()
        if self._waiting and not self._stopped:
            self._timer = asyncio.get_running_loop().call_at(self._waiting[0][0], self._wake)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
