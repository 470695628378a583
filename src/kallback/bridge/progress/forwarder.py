"""Forwards progress: from the progress topic to `TaskMonitor`, coalesced.

    fetcher ──records──► judge ──news──► coalescer ──due──► watchers ──► Restate
                           │                 │                  │
                           └───── done ◄─────┴────── done ◄─────┘

A record is done when Restate has accepted it, when a newer one of its task takes its place, or when it is of no use to
anybody; so what a crash leaves undone is heard again. While Restate is away each task holds one record back, and the
consumer's window stops the fetching; results go on by themselves, this is a member of another group.

Who owns what: the fetcher's task judges and sends; another wakes up when something is due. All on one loop. Stop: what
was not accepted comes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from kallback.bridge.context import Shared
from kallback.bridge.pipeline.fetcher import Fetcher
from kallback.bridge.progress.coalescer import Coalescer
from kallback.bridge.progress.decide import News, judge
from kallback.bridge.progress.monitor_client import Hearing, Watchers
from kallback.bridge.progress_outcome import Fate
from kallback.bridge.results.verify import Trust
from kallback.kafka import Consumer, GroupStatus, Record

_FETCH: Final = 500
_TICK: Final = 0.05
"""Seconds between looks at what is due: the shortest half interval."""


class ProgressFeed:
    """Reads the progress topic for as long as the bridge runs.

    Args:
        make: a new consumer of the progress topic, not started.
        trust: what proves a record.
        watchers: who is told; started and stopped by whoever gives them.
        on_broken: told when Kafka refuses for good.
    """

    def __init__(
        self,
        make: Callable[[], Consumer],
        trust: Trust,
        watchers: Watchers,
        shared: Shared,
        *,
        on_broken: Callable[[Exception], None],
    ) -> None:
        self._trust = trust
        self._watchers = watchers
        self._shared = shared
        self._coalescer = Coalescer()
        self._failures = 0
        self._settle: Callable[[Record], None] = _nobody
        self._fetcher = Fetcher(make, self._take, _Unbounded(), shared, on_broken=on_broken)
        self._ticking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join the group and begin; raises what `Consumer.start` raises."""
        await self._fetcher.start()
        self._ticking = asyncio.create_task(self._tick(), name="kallback-bridge-progress")

    async def stop(self) -> None:
        """Commit what is done and leave the group; stopping twice is fine."""
        ticking, self._ticking = self._ticking, None
        if ticking is not None:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
        await self._fetcher.stop()

    def group_status(self) -> GroupStatus | None:
        """How the consumer stands; None while there is none."""
        return self._fetcher.group_status()

    def _take(self, records: Sequence[Record], consumer: Consumer) -> None:
        self._settle = consumer.done
        now_ms, grace_ms = int(self._shared.clocks.now() * 1000), int(self._shared.options.late_grace * 1000)
        for record in records:
            verdict = judge(record, self._trust, now_ms=now_ms, grace_ms=grace_ms)
            if isinstance(verdict, News):
                self._done(self._coalescer.add(verdict, record), Fate.COALESCED)
            else:
                self._done(record, verdict)
        self._send_due()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            if len(self._coalescer):
                self._send_due()

    def _send_due(self) -> None:
        for news, record in list(self._coalescer.due(self._shared.clocks.monotonic())):
            self._watchers.tell(news, partial(self._answered, news, record))

    def _answered(self, news: News, record: Record, hearing: Hearing, detail: str) -> None:
        if hearing is Hearing.FAILED:
            self._again(news, record, detail)
            return
        self._failures = 0
        if hearing is not Hearing.TAKEN:
            self._shared.log.warning(_SENTENCES[hearing], kind=f"progress-{hearing.value}", detail=detail)
        self._coalescer.sent(news, self._shared.clocks.monotonic())
        self._done(record, _FATES[hearing])

    def _again(self, news: News, record: Record, detail: str) -> None:
        self._failures += 1
        options, clocks = self._shared.options, self._shared.clocks
        self._shared.log.warning("progress was not taken, trying again", kind="progress", detail=detail)
        pause = options.backoff.delay(self._failures, clocks.chance())
        self._done(self._coalescer.failed(news, record, clocks.monotonic() + pause), Fate.COALESCED)

    def _done(self, record: Record | None, fate: Fate) -> None:
        if record is not None:
            self._shared.stats.progress[fate] += 1
            self._settle(record)


class _Unbounded:
    """Room for progress: the consumer's own window bounds it."""

    async def wait(self) -> int:
        return _FETCH


def _nobody(_record: Record) -> None:
    """Nothing was fetched yet, so nothing is settled."""


_FATES: Final = {
    Hearing.TAKEN: Fate.FORWARDED,
    Hearing.MISSING: Fate.UNWATCHED,
    Hearing.REFUSED: Fate.REFUSED,
}
_SENTENCES: Final = {
    Hearing.MISSING: "Restate has no TaskMonitor, progress is dropped: bind callbacks.services and register them",
    Hearing.REFUSED: "Restate refuses a progress report, it is dropped",
}
