"""The part of a bridge for tasks that run: forwards progress, and reports up to when topics have been read.

It is independent of the results: another consumer group, other connections. Results go on while it has trouble.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

from kallback.bridge.context import BridgeContext
from kallback.bridge.progress.consumed_marks import MarkedTopic, WatermarkReporter
from kallback.bridge.progress.forwarder import ProgressForwarder
from kallback.bridge.progress.monitor_client import MonitorClient
from kallback.kafka import Consumer, GroupStatus, KafkaClients
from kallback.protocol.verification import Trust
from kallback.settings import Settings

_RESPONSE_BYTES: Final = 2 * 1024
"""Half of what results are read with: heartbeats are few, and hostile ones take memory beside hostile results."""


class Monitoring:
    """Progress and consumed marks of one bridge.

    Args:
        results: returns the status of the consumer of the results.
    """

    def __init__(
        self,
        settings: Settings,
        clients: KafkaClients,
        monitor_client: MonitorClient,
        trust: Trust,
        context: BridgeContext,
        *,
        results: Callable[[], GroupStatus | None],
    ) -> None:
        topics = settings.topics
        self._client: Final = monitor_client
        self._end_offsets: Final = clients.end_offsets()
        options = context.options
        group = options.progress_group_for(topics.results)

        consumer = replace(options.for_consumer(), response_bytes=_RESPONSE_BYTES)

        def make_consumer() -> Consumer:
            return clients.consumer([topics.progress], group, consumer)

        self._forwarder: Final = ProgressForwarder(
            make_consumer, trust, self._client, context, is_held=lambda: self._reporter.is_unanswered
        )
        self._reporter: Final = WatermarkReporter(
            {
                **dict.fromkeys(topics.all_results, MarkedTopic(results)),
                topics.progress: MarkedTopic(self._forwarder.group_status, self._forwarder.covered),
            },
            self._end_offsets,
            self._client,
            context,
        )
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Begin; raises what `Consumer.start` raises."""
        async with AsyncExitStack() as starting:
            starting.push_async_callback(self._client.stop)
            await self._client.start()
            starting.push_async_callback(self._forwarder.stop)
            await self._forwarder.start()
            starting.push_async_callback(self._end_offsets.stop)
            starting.push_async_callback(self._reporter.stop)
            await self._reporter.start()
            self._running = starting.pop_all()

    def group_status(self) -> GroupStatus | None:
        """Return the status of the consumer of progress in its group; None while there is no consumer."""
        return self._forwarder.group_status()

    async def stop(self) -> None:
        """End; stopping twice is fine."""
        running, self._running = self._running, AsyncExitStack()
        await running.aclose()
