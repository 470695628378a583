"""A consumer on librdkafka: one consumer thread makes every call, the event loop only takes what is buffered.

Ownership: librdkafka's consumer belongs to the consumer thread, because any other call would block while a poll runs.
Commands (commit, stop) go through a queue that the thread reads between its short polls; records go into a
`RecordBuffer`, with one wake-up of the loop per batch.

Latency: `poll` returns the first record at once, `consume(n, 0)` adds what is there already. (`consume(n, t)` alone
would wait for n records or the whole t.)

Back-pressure: records that the caller does not take, or whose window is full, stay in the buffer. The thread goes on
polling, so `max.poll.interval.ms` never passes. When a partition's buffer is full, the thread waits a moment for the
caller and pauses the partition only if it is still full then, until half of it is taken: pausing discards what
librdkafka prefetched, which in the hot path halved the rate.

Rebalance: the callbacks run inside the thread's poll. Revoked: nothing more is handed out, unfinished records get
`drain_timeout` (the loop goes on and calls `done`), what is done is committed, the epochs end. Lost: the epochs end and
nothing is committed, because another member owns the partitions. Assigned: with commit metadata, a separate client
reads what the group has committed (10 s at most) before the first record is handed out.

End of partition: librdkafka reports when it has read to the end of a partition, transaction markers included. When all
records before it are done and none is buffered, that end is the commit position; it is the only way to know the
position of an idle partition.

Cancellation: `fetch` waits for an event and takes afterwards without awaiting: a cancelled fetch has taken nothing.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from kallback.kafka.confluent.client import first_contact, in_thread
from kallback.kafka.confluent.login import prepare_login
from kallback.kafka.confluent.membership.consumer_thread import ConsumerThread
from kallback.kafka.consumer import ConsumerOptions, check_group
from kallback.kafka.group_status import GroupStatus
from kallback.lifecycle import StartStop
from kallback.protocol.errors import KafkaUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kallback.kafka.records import Record, Screen, TopicPartition
    from kallback.settings import KafkaSettings


class ConfluentConsumer(StartStop):
    """A `Consumer` on librdkafka: cooperative rebalances, heartbeats in the background."""

    def __init__(
        self, settings: KafkaSettings, topics: Sequence[str], group: str, *, options: ConsumerOptions | None = None
    ) -> None:
        check_group(group)
        self._settings = settings
        self._topics = tuple(topics)
        self._group = group
        self._options = options or ConsumerOptions()
        self._thread: ConsumerThread | None = None
        self._on_revoke: Callable[[frozenset[TopicPartition]], None] | None = None
        self._screen: Screen | None = None
        self._stopped = False

    async def start(self) -> None:
        """Connect, check the topics, join the group."""
        if self._stopped:
            raise KafkaUnavailableError("this consumer is stopped; make a new one")
        if self._thread is not None:
            return
        await prepare_login(self._settings)
        thread = ConsumerThread(self._settings, self._topics, self._group, self._options)
        if self._on_revoke is not None:
            thread.buffer.on_revoke = self._on_revoke
        thread.buffer.screen = self._screen
        try:
            await in_thread(
                lambda abandoned: first_contact(
                    thread.consumer, self._settings, thread.errors, topics=self._topics, abandoned=abandoned
                )
            )
        except BaseException:
            await asyncio.to_thread(thread.consumer.close)
            raise
        self._thread = thread
        thread.start()

    async def fetch(self, limit: int, timeout: float) -> list[Record]:  # noqa: ASYNC109 - a poll's patience
        """Hand out the next records."""
        thread = self._running()
        try:
            async with asyncio.timeout(timeout):
                while True:
                    thread.look()
                    thread.raise_failure()
                    if records := thread.buffer.take(limit):
                        return records
                    await thread.arrival()
        except TimeoutError:
            return []

    def started(self, record: Record) -> None:
        """Count a record as started."""
        if self._thread is not None:
            self._thread.buffer.started(record)

    def must_commit_start(self, record: Record) -> bool:
        """Whether the start of a record is to be committed before the work begins."""
        return self._thread is not None and self._thread.buffer.must_commit_start(record)

    def set_aside(self, records: Sequence[Record]) -> None:
        """Hold only the positions of records."""
        if self._thread is not None:
            self._thread.buffer.set_aside(records)

    def on_revoke(self, then: Callable[[frozenset[TopicPartition]], None]) -> None:
        """Have partitions told before they are taken away."""
        self._on_revoke = then

    def screen(self, screen: Screen) -> None:
        """Have each record screened as it is read."""
        self._screen = screen

    def release(self, record: Record) -> None:
        """Let no rebalance wait for a record."""
        if self._thread is not None:
            self._thread.buffer.release(record)

    def done(self, record: Record) -> None:
        """Settle a record."""
        if self._thread is not None:
            self._thread.buffer.done(record)

    async def commit(self) -> None:
        """Commit what is done."""
        if self._thread is not None:
            await self._thread.command("commit")

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that this member owns now."""
        return frozenset() if self._thread is None else self._thread.buffer.assignment()

    def unfinished(self) -> int:
        """The number of records that are handed out and not done."""
        return 0 if self._thread is None else self._thread.buffer.unfinished()

    def group_status(self) -> GroupStatus:
        """The status of this member."""
        if self._thread is None:
            return GroupStatus(joined=False, rebalances=0, last_poll=time.monotonic(), partitions={})
        return self._thread.group_status()

    async def stop(self) -> None:
        """Commit and leave the group."""
        self._stopped = True
        if self._thread is not None:
            await self._thread.stop()

    def _running(self) -> ConsumerThread:
        if self._thread is None or self._stopped:
            raise KafkaUnavailableError("this consumer is not running; start one first")
        return self._thread
