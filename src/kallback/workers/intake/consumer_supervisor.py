"""The place of the group's consumer: the one in it can be replaced, and settling goes through here alone.

A consumer that cannot go on is replaced. A record fetched by the former one is then settled at the new one, which
ignores it unless it holds the same offset of the same partition; its outcome is durable either way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from kallback.kafka import Consumer, GroupStatus, Record, TopicPartition
from kallback.protocol.errors import KafkaUnavailableError
from kallback.workers.backoff import Backoff

logger = logging.getLogger(__name__)

_PATIENCE: Final = 1.0  # seconds of one fetch; only how often an idle loop wakes up


class ConsumerSupervisor:
    """The place of the consumer: the one in it can be replaced."""

    def __init__(self, open_consumer: Callable[[], Consumer], backoff: Backoff) -> None:
        self._open = open_consumer
        self._backoff = backoff
        self._consumer = open_consumer()

    async def start(self) -> None:
        """Start the first consumer; errors as those of `Consumer.start`."""
        await self._consumer.start()

    async def fetch(self, limit: int) -> list[Record]:
        """The next records; outlives a consumer that cannot go on."""
        try:
            return await self._consumer.fetch(limit, _PATIENCE)
        except KafkaUnavailableError as error:
            logger.warning("the consumer cannot go on, another takes its place: %s", error)
        await self._replace()
        return []

    def started(self, record: Record) -> None:
        """Work on the record begins: if this process dies of it, the next one knows."""
        self._consumer.started(record)

    async def commit(self) -> None:
        """Commit what is settled and what has started, now."""
        await self._consumer.commit()

    def settle(self, record: Record) -> None:
        """The record need not come again."""
        self._consumer.done(record)

    def owns(self, record: Record) -> bool:
        """Whether the record's partition is this member's now; if not, somebody else gets the record."""
        return TopicPartition(record.topic, record.partition) in self._consumer.assignment()

    def group_status(self) -> GroupStatus:
        """How the present consumer stands in its group."""
        return self._consumer.group_status()

    async def stop(self) -> None:
        """Commit what is settled, leave the group; twice is fine."""
        await self._consumer.stop()

    async def _replace(self) -> None:
        failures = 0
        while True:
            await self._consumer.stop()
            self._consumer = self._open()
            try:
                await self._consumer.start()
            except KafkaUnavailableError as error:
                delay = self._backoff.delay(failures)
                failures += 1
                logger.warning("no consumer, the next try is in %.1f s: %s", delay, error)
                await asyncio.sleep(delay)
            else:
                return
