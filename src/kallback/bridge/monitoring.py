"""The part of a bridge that is about tasks under way: progress is forwarded, and marks say what has been read.

Independent of the results: another group, other connections. Results go on while this one is in trouble.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from kallback.bridge.context import Shared
from kallback.bridge.dependencies import Parts
from kallback.bridge.progress.consumed_marks import MarkKeeper
from kallback.bridge.progress.forwarder import ProgressFeed
from kallback.bridge.results.verify import Trust
from kallback.kafka import Consumer, GroupStatus
from kallback.settings import Settings


class Monitoring:
    """Progress and marks of one bridge.

    Args:
        results: how the consumer of the results stands.
        on_broken: told when Kafka refuses for good.
    """

    def __init__(
        self,
        settings: Settings,
        parts: Parts,
        trust: Trust,
        shared: Shared,
        *,
        results: Callable[[], GroupStatus | None],
        on_broken: Callable[[Exception], None],
    ) -> None:
        topics = settings.topics
        self._watchers: Final = parts.watchers(settings)
        self._ends: Final = parts.end_offsets(settings)

        def consumer() -> Consumer:
            return parts.progress_consumer(settings, shared.options)

        self._feed: Final = ProgressFeed(consumer, trust, self._watchers, shared, on_broken=on_broken)
        statuses = {topics.results: results, topics.progress: self._feed.group_status}
        self._marks: Final = MarkKeeper(statuses, self._ends, self._watchers, shared)
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Begin; raises what `Consumer.start` raises."""
        async with AsyncExitStack() as starting:
            starting.push_async_callback(self._watchers.stop)
            await self._watchers.start()
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
