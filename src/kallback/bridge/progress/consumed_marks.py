"""Up to when this bridge has read its share of a topic: what tells "not heard of" from "not read yet".

`TaskMonitor` counts an attempt as lost only when these marks have passed its last heartbeat plus the limit. A mark of
a partition is a time at which all that lay in it had an outcome: its end was asked for at that time, and now the commit
position is there. So nothing is claimed while Restate is away, while this bridge is behind, or while Kafka does not
answer. After such a silence, and after its own start, a bridge claims nothing for a while: workers that could not send
either need a moment to be heard again.

Who owns what: one task that looks every second. Stop: cancels it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from kallback.bridge.context import BridgeContext
from kallback.bridge.progress.monitor_client import MonitorClient, SendResult
from kallback.kafka import EndOffsets, GroupStatus, TopicPartition
from kallback.protocol import KallbackError, Marks

_LOOK: Final = 1.0
_LONGEST_LOOK: Final = 10.0
_SETTLING: Final = 5.0
_UNWATCHED: Final = 30.0


def marks_of(
    topic: str, ends: Mapping[TopicPartition, int], status: GroupStatus | None, asked_ms: int
) -> dict[int, int]:
    """The partitions of a topic that were read to the ends that Kafka named at `asked_ms`. Pure."""
    if status is None:
        return {}
    owned = status.partitions
    return {
        each.partition: asked_ms
        for each, end in ends.items()
        if each.topic == topic
        and each in owned
        and ((position := owned[each].position) is not None and position >= end)
    }


class WatermarkReporter:
    """Reports the marks of some topics.

    Args:
        statuses: by topic, how its consumer stands.
        ends: asks Kafka; started and stopped by whoever gives it.
        monitor_client: are told.
    """

    def __init__(
        self,
        statuses: Mapping[str, Callable[[], GroupStatus | None]],
        ends: EndOffsets,
        monitor_client: MonitorClient,
        context: BridgeContext,
    ) -> None:
        self._statuses = statuses
        self._ends = ends
        self._monitor_client = monitor_client
        self._context = context
        self._task: asyncio.Task[None] | None = None
        self._steady_from = 0.0
        self._wanted_from = 0.0

    async def start(self) -> None:
        """Begin to look."""
        self._interrupted()
        self._task = asyncio.create_task(self._keep(), name="kallback-bridge-marks")

    async def stop(self) -> None:
        """Look no more; stopping twice is fine."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            try:
                async with asyncio.timeout(_LONGEST_LOOK):
                    await self.look()
            except (KallbackError, TimeoutError) as error:
                self._interrupted()
                self._context.log.warning("Kafka does not say where topics end", kind="marks", detail=str(error))

    async def look(self) -> None:
        """Ask once, and report what was read.

        Raises:
            KallbackError: Kafka does not say where the topics end.
        """
        clocks = self._context.clocks
        if clocks.monotonic() < self._wanted_from:
            return
        asked_ms = int(clocks.now() * 1000)
        ends = await self._ends.of(list(self._statuses))
        await asyncio.sleep(_LOOK / 2)  # what lay before the ends is being read
        if clocks.monotonic() < self._steady_from:
            return
        for topic, status_of in self._statuses.items():
            partitions = sum(each.topic == topic for each in ends)
            marks = marks_of(topic, ends, status_of(), asked_ms)
            if marks:
                self._monitor_client.report(topic, Marks(partitions, marks), self._answered)

    def _interrupted(self) -> None:
        self._steady_from = self._context.clocks.monotonic() + _SETTLING

    def _answered(self, result: SendResult, _detail: str) -> None:
        if result is SendResult.MISSING:  # nobody watches here: ask again later, it may be deployed
            self._wanted_from = self._context.clocks.monotonic() + _UNWATCHED
