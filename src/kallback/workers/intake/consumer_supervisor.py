"""Keeps the group's consumer going: one that cannot go on is replaced, and settling goes through here alone.

The first replacement is made at once. If it fails like the former one, the pauses before the next ones grow: each of
them makes the whole group rebalance.

A record fetched by the former consumer is settled at the new one, which ignores it unless it holds the same offset of
the same partition; its outcome is durable either way.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Final

from kallback.kafka import Consumer, GroupStatus, Record, TopicPartition
from kallback.lifecycle import Backoff, ReplacementPace, retry
from kallback.protocol.errors import KafkaUnavailableError
from kallback.protocol.long_tasks.partitions import partitions_text
from kallback.workers.logs import guarded_logger

logger = guarded_logger(__name__)

_FETCH_TIMEOUT_S: Final = 1.0  # only how often an idle loop wakes up


class ConsumerSupervisor:
    """The group's consumer, whichever it is now.

    Args:
        open_consumer: makes a new one.
        backoff: between tries to start one.
    """

    def __init__(self, open_consumer: Callable[[], Consumer], backoff: Backoff) -> None:
        self._open: Final = open_consumer
        self._backoff: Final = backoff
        self._pace: Final = ReplacementPace(backoff)
        self._consumer = open_consumer()
        self._on_revoke: Callable[[frozenset[TopicPartition]], None] = _ignore

    async def start(self) -> None:
        """Start the first consumer; errors as those of `Consumer.start`."""
        self._listen()
        await self._consumer.start()

    def on_revoke(self, then: Callable[[frozenset[TopicPartition]], None]) -> None:
        """Have partitions told before they are taken away, on the loop of `start`."""
        self._on_revoke = then

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()

        def revoked(partitions: frozenset[TopicPartition]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the worker is gone
                loop.call_soon_threadsafe(self._on_revoke, partitions)

        self._consumer.on_revoke(revoked)

    def release(self, record: Record) -> None:
        """A rebalance need not wait for the record: it has not begun."""
        self._consumer.release(record)

    async def fetch(self, limit: int) -> list[Record]:
        """The next records; outlives a consumer that cannot go on."""
        try:
            return await self._consumer.fetch(limit, _FETCH_TIMEOUT_S)
        except KafkaUnavailableError as error:
            delay = self._pace.delay(time.monotonic())
            when = f"in {delay:.1f} s" if delay else "now"
            logger.warning("the consumer cannot go on and is replaced %s: %s", when, error)
        await asyncio.sleep(delay)
        await retry(self._replace, self._backoff, errors=KafkaUnavailableError, on_failure=_log_failure)
        return []

    def started(self, record: Record) -> None:
        """Work on the record begins: if this process dies of it, the next one knows."""
        self._consumer.started(record)

    def must_commit_start(self, record: Record) -> bool:
        """Whether `commit` is to be awaited before the work on the record begins."""
        return self._consumer.must_commit_start(record)

    async def commit(self) -> None:
        """Commit what is settled and what has started, now."""
        await self._consumer.commit()

    def settle(self, record: Record) -> None:
        """The record need not come again."""
        self._consumer.done(record)

    def set_aside(self, records: Sequence[Record]) -> None:
        """Only the positions of the records are held from now on."""
        self._consumer.set_aside(records)

    def owns(self, record: Record) -> bool:
        """Whether the record's partition is this member's now; if not, another member gets the record."""
        return TopicPartition(record.topic, record.partition) in self._consumer.assignment()

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that are this member's now."""
        return self._consumer.assignment()

    def partitions_of(self, topic: str) -> str:
        """The partitions of a topic that are this member's now, as text."""
        return partitions_text(each.partition for each in self._consumer.assignment() if each.topic == topic)

    def group_status(self) -> GroupStatus:
        """What the present consumer knows of its group."""
        return self._consumer.group_status()

    async def stop(self) -> None:
        """Commit what is settled, leave the group; twice is fine."""
        await self._consumer.stop()

    async def _replace(self) -> None:
        await self._consumer.stop()
        self._consumer = self._open()
        self._listen()
        await self._consumer.start()
        self._pace.started(time.monotonic())


def _ignore(_partitions: frozenset[TopicPartition]) -> None:
    pass


def _log_failure(error: Exception, delay: float) -> None:
    logger.warning("no consumer, the next try is in %.1f s: %s", delay, error)
