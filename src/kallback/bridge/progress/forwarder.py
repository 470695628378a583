"""Forwards progress from the progress topic to `TaskMonitor`, coalesced.

    fetcher ──records──► decide ──updates──► coalescer ──due──► monitor client ──► Restate
                           │                     │                    │
                           └─────── done ◄───────┴─────── done ◄──────┘

A record is done when Restate has accepted it, when a newer one of its task replaces it, or when it is of no use; so
what a crash leaves undone is read again. While Restate is unavailable, or the services behind it do not answer, each
task holds one record back, and the consumer's window pauses fetching. Results are independent of this: they have
another consumer group.

Ownership: the fetcher's task decides and sends; another one wakes up when an update is due. Both run on one event loop.
Cancellation: what was not accepted is redelivered. Each record is settled at the consumer that it came from: a consumer
that is replaced is not told about the other one's records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from kallback.bridge.context import BridgeContext
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.bridge.pipeline.fetcher import Fetcher
from kallback.bridge.progress.coalescer import Coalescer
from kallback.bridge.progress.decide import ProgressUpdate, decide_progress
from kallback.bridge.progress.monitor_client import MonitorClient, SendResult
from kallback.bridge.stats import ProgressOutcome
from kallback.kafka import Consumer, GroupStatus, Record
from kallback.protocol.verification import Trust, UnverifiedResult

_FETCH_LIMIT: Final = 100
"""To decide on as many takes 3 ms: results, which are more urgent, have their turn in between."""
_TICK_S: Final = 0.05
"""Between looks at what is due: the shortest half interval."""
_CANCEL_TIMEOUT_S: Final = 1.0


class ProgressForwarder:
    """Reads the progress topic while the bridge runs.

    Args:
        make_consumer: returns a new consumer of the progress topic, not started.
        trust: what authenticates a record.
        monitor_client: calls `TaskMonitor`; started and stopped by its owner.
        is_held: whether nothing may be sent now, because it would wait in Restate.
    """

    def __init__(
        self,
        make_consumer: Callable[[], Consumer],
        trust: Trust,
        monitor_client: MonitorClient,
        context: BridgeContext,
        *,
        is_held: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_held = is_held
        self._trust = trust
        self._monitor_client = monitor_client
        self._context = context
        self._coalescer = Coalescer()
        self._failures = 0
        self._fetcher = Fetcher("progress-fetcher", make_consumer, self._route, _ConsumerLimit(), context)
        self._on_result = context.supervisor.guard("the progress forwarder", self._answered)
        self._read: dict[int, int] = {}
        self._read_by: Consumer | None = None
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join the group and begin; raises what `Consumer.start` raises."""
        await self._fetcher.start()
        self._task = self._context.supervisor.run("progress-forwarder", self._send_when_due())

    async def stop(self) -> None:
        """Commit what is done and leave the group; stopping twice is fine."""
        task, self._task = self._task, None
        if task is not None:
            await self._context.supervisor.cancel([task], _CANCEL_TIMEOUT_S)
        await self._fetcher.stop()

    def group_status(self) -> GroupStatus | None:
        """Return the status of the consumer in its group; None while there is no consumer."""
        return self._fetcher.group_status()

    def covered(self) -> Mapping[int, int]:
        """Return by partition the offset before which every record was accepted or needs no sending yet."""
        oldest = self._coalescer.oldest_uncovered(self._context.clocks.monotonic())
        return {partition: min(read, oldest.get(partition, read)) for partition, read in self._read.items()}

    def _route(self, records: Sequence[Record], consumer: Consumer) -> None:
        clocks, options = self._context.clocks, self._context.options
        now_ms, grace_ms, since = int(clocks.now() * 1000), int(options.late_grace * 1000), clocks.monotonic()
        if consumer is not self._read_by:
            self._read_by = consumer
            self._read.clear()
        for record in records:
            fetched = FetchedRecord(record, consumer, since)
            self._read[record.partition] = record.next_offset
            verdict = decide_progress(record, self._trust, now_ms=now_ms, grace_ms=grace_ms)
            if isinstance(verdict, ProgressUpdate):
                self._settle(self._coalescer.add(verdict, fetched), ProgressOutcome.COALESCED)
            elif isinstance(verdict, UnverifiedResult):
                self._drop_unverified(fetched, verdict)
            else:
                self._settle(fetched, verdict)
        self._send_due()

    def _drop_unverified(self, fetched: FetchedRecord, verdict: UnverifiedResult) -> None:
        """Say why, as for results: without it a key that bridges do not have yet looks like a worker that is away."""
        self._context.log.warning(
            "progress is not verified: it is dropped",
            kind=f"progress-{verdict.reason}",
            record=repr(fetched.record),
            detail=verdict.detail,
        )
        self._settle(fetched, ProgressOutcome.UNVERIFIED)

    async def _send_when_due(self) -> None:
        while True:
            await self._wanted.wait()
            await asyncio.sleep(_TICK_S)
            self._send_due()

    def _send_due(self) -> None:
        """Send what is due; where nothing waits, the next look comes with the next record or failure."""
        due = [] if self._is_held() else list(self._coalescer.due(self._context.clocks.monotonic()))
        for update, fetched in due:
            self._monitor_client.send_update(update, partial(self._on_result, update, fetched))
        if self._coalescer.has_waiting:
            self._wanted.set()
        else:
            self._wanted.clear()

    def _answered(self, update: ProgressUpdate, fetched: FetchedRecord, result: SendResult, detail: str) -> None:
        if result is SendResult.FAILED:
            self._retry(update, fetched, detail)
            return
        self._failures = 0
        now = self._context.clocks.monotonic()
        if result is SendResult.ACCEPTED:
            self._coalescer.accepted(update, fetched, now)
        else:
            self._context.log.warning(_SENTENCES[result], kind=f"progress-{result.value}", detail=detail)
            self._coalescer.discarded(update, now)
        refused = self._context.stats.progress_refused  # Restate accepts it, the service does not
        self._settle(fetched, ProgressOutcome.REFUSED if refused else _OUTCOMES[result])

    def _retry(self, update: ProgressUpdate, fetched: FetchedRecord, detail: str) -> None:
        self._failures += 1
        options, clocks = self._context.options, self._context.clocks
        self._context.log.warning("progress was not accepted: retrying", kind="progress", detail=detail)
        delay = options.backoff.delay(self._failures, clocks.random())
        replaced = self._coalescer.failed(update, fetched, clocks.monotonic() + delay)
        self._wanted.set()
        self._settle(replaced, ProgressOutcome.COALESCED)

    def _settle(self, fetched: FetchedRecord | None, outcome: ProgressOutcome) -> None:
        if fetched is not None:
            self._context.stats.progress[outcome] += 1
            fetched.done()


class _ConsumerLimit:
    """Progress has no limit of its own: the consumer's window bounds it."""

    async def wait(self) -> int:
        return _FETCH_LIMIT


_OUTCOMES: Final = {
    SendResult.ACCEPTED: ProgressOutcome.FORWARDED,
    SendResult.MISSING: ProgressOutcome.UNWATCHED,
    SendResult.REFUSED: ProgressOutcome.REFUSED,
}
_SENTENCES: Final = {
    SendResult.MISSING: "Restate has no TaskMonitor, progress is dropped: serve services with callbacks.app([...])",
    SendResult.REFUSED: "Restate refuses a progress update: it is dropped",
}
