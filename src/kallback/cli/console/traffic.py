"""How many results and dead letters there are, and how far bridges are behind: sampled for the charts of one hour.

Ownership: the console runs `Traffic.run` as its one background task. Memory is bounded by the number of samples. What
cannot be read leaves a gap; the pages that read the same server say why.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from kallback.kafka import TopicGroup
from kallback.protocol import KallbackError

INTERVAL_S: Final = 15.0
_HOUR_S: Final = 3600
_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class TrafficSample:
    """What there was at one time.

    Attributes:
        at_ms: epoch milliseconds.
        results: records ever written to the results topic.
        dead_letters: records ever written to the dead-letter topic.
        lag: results that bridges have not committed; None if no bridge has ever read.
    """

    at_ms: int
    results: int
    dead_letters: int
    lag: int | None


class Traffic:
    """Keeps the samples of the last hour.

    Args:
        read: takes a sample; raises a `KallbackError` if a server does not answer.
        interval: seconds between two.
    """

    def __init__(self, read: Callable[[], Awaitable[TrafficSample]], interval: float = INTERVAL_S) -> None:
        self._read: Final = read
        self._interval: Final = interval
        self._samples: Final = deque[TrafficSample](maxlen=int(_HOUR_S / INTERVAL_S) + 1)

    @property
    def samples(self) -> Sequence[TrafficSample]:
        """The samples so far, the oldest first."""
        return tuple(self._samples)

    async def run(self) -> None:
        """Take samples until it is cancelled."""
        while True:
            with suppress(KallbackError):  # the overview asks the same servers, and shows the sentence
                self._samples.append(await self._read())
            await asyncio.sleep(self._interval)


def lag_of(groups: Sequence[TopicGroup]) -> int | None:
    """Return how far bridges are behind: of groups with members if there are any, because others may be abandoned."""
    lags_ = [group.lag for group in groups if group.members] or [group.lag for group in groups]
    return max(lags_, default=None)


def rates(samples: Sequence[TrafficSample], count: Callable[[TrafficSample], int]) -> list[tuple[int, float]]:
    """Return what came per second between samples; a topic that was created anew begins at zero."""
    return [
        (later.at_ms, max(0, count(later) - count(earlier)) * _MS / (later.at_ms - earlier.at_ms))
        for earlier, later in pairwise(samples)
        if later.at_ms > earlier.at_ms
    ]


def lags(samples: Sequence[TrafficSample]) -> list[tuple[int, float]]:
    """Return the lags that are known."""
    return [(each.at_ms, float(each.lag)) for each in samples if each.lag is not None]
