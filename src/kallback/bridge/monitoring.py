"""The part of a bridge that is about tasks under way: progress is forwarded, and marks say what has been read.

Independent of the results: another group, other connections. Results go on while this one is in trouble.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from kallback.bridge.context import BridgeContext
from kallback.bridge.dependencies import Dependencies
from kallback.bridge.progress.consumed_marks import WatermarkReporter
from kallback.bridge.progress.forwarder import ProgressFeed
from kallback.bridge.results.verify import Trust
from kallback.kafka import Consumer, GroupStatus
from kallback.settings import Settings


class Monitoring:
    """Progress and marks of one bridge.

    Args:
        results: how the consumer of the results stands.
        on_fatal: told when Kafka refuses for good.
    """

    def __init__(
        self,
        settings: Settings,
        dependencies: Dependencies,
        trust: Trust,
        context: BridgeContext,
        *,
        results: Callable[[], GroupStatus | None],
        on_fatal: Callable[[Exception], None],
    ) -> None:
        topics = settings.topics
        self._monitor_client: Final = dependencies.monitor_client(settings)
        self._ends: Final = dependencies.end_offsets(settings)

        def consumer() -> Consumer:
            return dependencies.progress_consumer(settings, context.options)

        self._feed: Final = ProgressFeed(consumer, trust, self._monitor_client, context, on_fatal=on_fatal)
        statuses = {topics.results: results, topics.progress: self._feed.group_status}
        self._marks: Final = WatermarkReporter(statuses, self._ends, self._monitor_client, context)
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Begin; raises what `Consumer.start` raises."""
        async with AsyncExitStack() as starting:
            starting.push_async_callback(self._monitor_client.stop)
            await self._monitor_client.start()
            starting.push_async_callback(self._feed.stop)
            await self._feed.start()
            starting.push_async_callback(self._ends.stop)
            starting.push_async_callback(self._marks.stop)
            await self._marks.start()
            self._running = starting.pop_all()

    async def stop(self) -> None:
        """End; stopping twice is fine."""
        running, self._running = self._running, AsyncExitStack()
        await running.aclose()
