"""Forwards progress: from the progress topic to `TaskMonitor`, coalesced.

    fetcher ──records──► judge ──update──► coalescer ──due──► monitor_client ──► Restate
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

from kallback.bridge.context import BridgeContext
from kallback.bridge.pipeline.fetcher import Fetcher
from kallback.bridge.progress.coalescer import Coalescer
from kallback.bridge.progress.decide import ProgressUpdate, judge
from kallback.bridge.progress.monitor_client import MonitorClient, SendResult
from kallback.bridge.results.verify import Trust
from kallback.bridge.stats import ProgressOutcome
from kallback.kafka import Consumer, GroupStatus, Record

_FETCH: Final = 500
_TICK: Final = 0.05
"""Seconds between looks at what is due: the shortest half interval."""


class ProgressFeed:
    """Reads the progress topic for as long as the bridge runs.

    Args:
        make: a new consumer of the progress topic, not started.
        trust: what proves a record.
        monitor_client: who is told; started and stopped by whoever gives them.
        on_fatal: told when Kafka refuses for good.
    """

    def __init__(
        self,
        make: Callable[[], Consumer],
        trust: Trust,
        monitor_client: MonitorClient,
        context: BridgeContext,
        *,
        on_fatal: Callable[[Exception], None],
    ) -> None:
        self._trust = trust
        self._monitor_client = monitor_client
        self._context = context
        self._coalescer = Coalescer()
        self._failures = 0
        self._settle: Callable[[Record], None] = _nobody
        self._fetcher = Fetcher(make, self._take, _Unbounded(), context, on_fatal=on_fatal)
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
        now_ms, grace_ms = int(self._context.clocks.now() * 1000), int(self._context.options.late_grace * 1000)
        for record in records:
            verdict = judge(record, self._trust, now_ms=now_ms, grace_ms=grace_ms)
            if isinstance(verdict, ProgressUpdate):
                self._done(self._coalescer.add(verdict, record), ProgressOutcome.COALESCED)
            else:
                self._done(record, verdict)
        self._send_due()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            if len(self._coalescer):
                self._send_due()

    def _send_due(self) -> None:
        for update, record in list(self._coalescer.due(self._context.clocks.monotonic())):
            self._monitor_client.send_update(update, partial(self._answered, update, record))

    def _answered(self, update: ProgressUpdate, record: Record, result: SendResult, detail: str) -> None:
        if result is SendResult.FAILED:
            self._again(update, record, detail)
            return
        self._failures = 0
        if result is not SendResult.TAKEN:
            self._context.log.warning(_SENTENCES[result], kind=f"progress-{result.value}", detail=detail)
        self._coalescer.sent(update, self._context.clocks.monotonic())
        self._done(record, _OUTCOMES[result])

    def _again(self, update: ProgressUpdate, record: Record, detail: str) -> None:
        self._failures += 1
        options, clocks = self._context.options, self._context.clocks
        self._context.log.warning("progress was not taken, trying again", kind="progress", detail=detail)
        pause = options.backoff.delay(self._failures, clocks.random())
        self._done(self._coalescer.failed(update, record, clocks.monotonic() + pause), ProgressOutcome.COALESCED)

    def _done(self, record: Record | None, outcome: ProgressOutcome) -> None:
        if record is not None:
            self._context.stats.progress[outcome] += 1
            self._settle(record)


class _Unbounded:
    """InFlightLimit for progress: the consumer's own window bounds it."""

    async def wait(self) -> int:
        return _FETCH


def _nobody(_record: Record) -> None:
    """Nothing was fetched yet, so nothing is settled."""


_OUTCOMES: Final = {
    SendResult.TAKEN: ProgressOutcome.FORWARDED,
    SendResult.MISSING: ProgressOutcome.UNWATCHED,
    SendResult.REFUSED: ProgressOutcome.REFUSED,
}
_SENTENCES: Final = {
    SendResult.MISSING: "Restate has no TaskMonitor, progress is dropped: bind callbacks.services and register them",
    SendResult.REFUSED: "Restate refuses a progress report, it is dropped",
}
