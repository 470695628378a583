"""Reports up to when this bridge has read its share of a topic: it tells "no heartbeat" from "heartbeat not read yet".

`TaskMonitor` counts an attempt as lost only when these marks have passed its last heartbeat plus the limit. The mark of
a partition is a time at which all records in it had an outcome: Kafka named the end at that time, and the commit
position has reached it now. So nothing is claimed while Restate is unavailable, while this bridge is behind, while
Kafka does not answer, or while a transaction is open: what was written behind it cannot be read, and the end that is
asked for lies behind that, too. After such a silence, and after its own start, a bridge claims nothing for a while:
workers that could not send either need a moment to be heard again.

A report that Restate has kept and the service has not answered says that the services are away. Then heartbeats are
not sent either: each would wait in Restate, and they wait in Kafka instead. A report is tried again every second,
without marks if there are none, and the first one that Restate takes ends the waiting.

Ownership: one supervised task that looks every second. Cancellation: `stop` ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from kallback.bridge.context import BridgeContext
from kallback.bridge.progress.monitor_client import MonitorClient, SendResult
from kallback.kafka import EndOffsets, GroupStatus, TopicPartition
from kallback.protocol import KallbackError, Marks

_INTERVAL_S: Final = 1.0
_MAX_LOOK_S: Final = 10.0
_LOOK_PAUSES_S: Final = (0.05, 0.1, 0.15, 0.2)  # what was before the ends is read meanwhile; most is read at once
_SETTLING_S: Final = 5.0
_NO_MONITOR_S: Final = 30.0
_SAID_AFTER: Final = 5
"""Reports of a topic in a row that wait: a busy machine may take a second or two for one."""
_CANCEL_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class MarkedTopic:
    """How far one topic has been consumed.

    Attributes:
        group_status: the status of its consumer; None while there is none.
        covered: by partition, an offset before which every record is settled or needs not be settled yet.
    """

    group_status: Callable[[], GroupStatus | None]
    covered: Callable[[], Mapping[int, int]] = dict


def marks_of(
    topic: str,
    ends: Mapping[TopicPartition, int],
    status: GroupStatus | None,
    asked_ms: int,
    covered: Mapping[int, int] | None = None,
) -> dict[int, int]:
    """Return the owned partitions of a topic that were consumed up to the ends that Kafka named at `asked_ms`. Pure."""
    if status is None:
        return {}
    covered = covered or {}
    marks: dict[int, int] = {}
    for each, end in ends.items():
        owned = status.partitions.get(each) if each.topic == topic else None
        if owned is None or owned.position is None:
            continue
        if max(owned.position, covered.get(each.partition, 0)) >= end:
            marks[each.partition] = asked_ms
    return marks


class WatermarkReporter:
    """Reports the marks of some topics.

    Args:
        topics: how far each has been consumed.
        ends: asks Kafka; started and stopped by its owner.
        monitor_client: calls Restate's monitoring services.
    """

    def __init__(
        self,
        topics: Mapping[str, MarkedTopic],
        ends: EndOffsets,
        monitor_client: MonitorClient,
        context: BridgeContext,
    ) -> None:
        self._topics = topics
        self._ends = ends
        self._monitor_client = monitor_client
        self._context = context
        self._on_result = context.supervisor.guard("the watermark reporter", self._answered)
        self._unanswered: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._unreached: dict[TopicPartition, tuple[int, int]] = {}
        self._steady_from = 0.0
        self._wanted_from = 0.0

    async def start(self) -> None:
        """Begin to report."""
        self._interrupted()
        self._task = self._context.supervisor.run("watermark-reporter", self._run())

    async def stop(self) -> None:
        """Report nothing more; stopping twice is fine."""
        task, self._task = self._task, None
        if task is not None:
            await self._context.supervisor.cancel([task], _CANCEL_TIMEOUT_S)

    @property
    def is_unanswered(self) -> bool:
        """Whether a report waits in Restate because the services do not answer."""
        return bool(self._unanswered)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            try:
                async with asyncio.timeout(_MAX_LOOK_S):
                    await self.look()
            except (KallbackError, TimeoutError) as error:
                self._interrupted()
                self._context.log.warning(
                    "Kafka does not say where topics end: until it does, no attempt counts as lost",
                    kind="marks",
                    detail=str(error),
                )

    async def look(self) -> None:
        """Ask once, and report what was consumed.

        Raises:
            KallbackError: Kafka does not say where the topics end.
        """
        clocks = self._context.clocks
        if clocks.monotonic() < self._wanted_from:
            return
        asked_ms = int(clocks.now() * 1000)
        ends = await self._ends.of(list(self._topics), uncommitted=True)
        found = await self._read_up_to(ends, asked_ms)
        self._add_earlier(found, ends, asked_ms)
        if clocks.monotonic() < self._steady_from:
            return
        for name, marks in found.items():
            if marks or name in self._unanswered:
                partitions = sum(each.topic == name for each in ends)
                self._monitor_client.report(name, Marks(partitions, marks), partial(self._on_result, name))

    async def _read_up_to(self, ends: Mapping[TopicPartition, int], asked_ms: int) -> dict[str, dict[int, int]]:
        """The marks by topic, as soon as all owned partitions are read up to their ends, or half an interval later."""
        for pause in _LOOK_PAUSES_S:
            marks, complete = self._marks(ends, asked_ms)
            if complete:
                return marks
            await asyncio.sleep(pause)
        return self._marks(ends, asked_ms)[0]

    def _marks(self, ends: Mapping[TopicPartition, int], asked_ms: int) -> tuple[dict[str, dict[int, int]], bool]:
        """The marks by topic, and whether they cover all owned partitions."""
        marks, complete = dict[str, dict[int, int]](), True
        for name, topic in self._topics.items():
            status = topic.group_status()
            marks[name] = marks_of(name, ends, status, asked_ms, topic.covered())
            complete = complete and len(marks[name]) == (0 if status is None else len(status.partitions))
        return marks, complete

    def _add_earlier(self, found: dict[str, dict[int, int]], ends: Mapping[TopicPartition, int], asked_ms: int) -> None:
        """Claim an earlier time where the end of that time is reached, and remember the ends that are not.

        Where one transaction follows another, the position never reaches the end of the moment.
        """
        for each, end in ends.items():
            topic, marks = self._topics[each.topic], found[each.topic]
            if each.partition in marks:
                self._unreached.pop(each, None)
                continue
            before = self._unreached.get(each)
            if before is not None:
                marks |= marks_of(each.topic, {each: before[0]}, topic.group_status(), before[1], topic.covered())
            if before is None or each.partition in marks:
                self._unreached[each] = (end, asked_ms)

    def _interrupted(self) -> None:
        self._unreached.clear()
        self._steady_from = self._context.clocks.monotonic() + _SETTLING_S

    def _answered(self, topic: str, result: SendResult, _detail: str) -> None:
        if result is SendResult.WAITING:
            self._unanswered[topic] = waiting = self._unanswered.get(topic, 0) + 1
            if waiting >= _SAID_AFTER:
                self._context.log.warning(
                    "the Restate services of kallback do not answer: until they do, heartbeats wait in Kafka and no "
                    "attempt counts as lost",
                    kind="marks-unanswered",
                    topic=topic,
                )
        elif result is not SendResult.FAILED and self._unanswered.pop(topic, 0) >= _SAID_AFTER:
            self._context.log.info("the Restate services of kallback answer again", kind="marks-answered", topic=topic)
        if result is SendResult.MISSING:  # no monitoring services are registered: ask again later
            self._wanted_from = self._context.clocks.monotonic() + _NO_MONITOR_S
