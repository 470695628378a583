"""A consumer on librdkafka: one owner thread makes every call, the event loop only takes what it holds.

Who owns what: librdkafka's consumer belongs to the owner thread, because any other call would block while a poll
runs. Commands (commit, stop) go through a queue that the thread looks at between its short polls; records go into
a `HandOver`, with one wake-up of the loop per batch.

Latency: `poll` returns the first record at once, `consume(n, 0)` adds what is there already. (`consume(n, t)`
alone would wait for n records or the whole t.)

Back-pressure: records that nobody takes, or whose window is full, are held back here. The thread goes on polling,
so `max.poll.interval.ms` never passes. Where much is held it waits a moment for the caller; only a partition that
is still full then is paused, until half of it is taken: pausing throws away what librdkafka prefetched, which in
the hot path halved the rate.

Rebalance: the callbacks run inside the owner thread's poll. Revoked: nothing more is handed out, unfinished
records get `drain_timeout` (the loop goes on and calls `done`), what is done is committed, the epochs end. Lost:
the epochs end, nothing is committed, for somebody else owns the partitions. Assigned: with notes, what the group has
committed is asked for by a client of its own (10 s at most) before the first record is handed out.

Ends: librdkafka says when it has come to the end of a partition, behind transaction markers too. Once all before it is
done and nothing is held back, that is the commit position; it is how the place of an idle partition is known at all.

Cancel: `fetch` waits for an event and takes afterwards, without awaiting: a cancelled fetch has taken nothing.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from kallback.kafka.confluent.client import first_contact
from kallback.kafka.confluent.consumer_thread import Owner
from kallback.kafka.consumer import ConsumerOptions
from kallback.kafka.group_status import Standing
from kallback.lifecycle import StartStop
from kallback.protocol.errors import KafkaUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kallback.kafka.records import Record, TopicPartition
    from kallback.settings import KafkaSettings


class ConfluentConsumer(StartStop):
    """A `Consumer` on librdkafka: cooperative rebalances, heartbeats in the background."""

    def __init__(
        self, settings: KafkaSettings, topics: Sequence[str], group: str, *, options: ConsumerOptions | None = None
    ) -> None:
        self._settings = settings
        self._topics = tuple(topics)
        self._group = group
        self._options = options or ConsumerOptions()
        self._owner: Owner | None = None
        self._stopped = False

    async def start(self) -> None:
        """Connect, check the topics, join the group."""
        if self._stopped:
            raise KafkaUnavailableError("this consumer is stopped; make a new one")
        if self._owner is not None:
            return
        owner = Owner(self._settings, self._topics, self._group, self._options)
        try:
            await asyncio.to_thread(first_contact, owner.consumer, self._settings, owner.troubles, topics=self._topics)
        except BaseException:
            await asyncio.to_thread(owner.consumer.close)
            raise
        self._owner = owner
        owner.start()

    async def fetch(self, limit: int, timeout: float) -> list[Record]:  # noqa: ASYNC109 - a poll's patience
        """Hand out the next records."""
        owner = self._running()
        try:
            async with asyncio.timeout(timeout):
                while True:
                    owner.look()
                    owner.raise_failure()
                    if records := owner.hand_over.take(limit):
                        return records
                    await owner.arrival()
        except TimeoutError:
            return []

    def started(self, record: Record) -> None:
        """Count a record as begun."""
        if self._owner is not None:
            self._owner.hand_over.started(record)

    def done(self, record: Record) -> None:
        """Settle a record."""
        if self._owner is not None:
            self._owner.hand_over.done(record)

    async def commit(self) -> None:
        """Commit what is done."""
        if self._owner is not None:
            await self._owner.order("commit")

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that this member owns now."""
        return frozenset() if self._owner is None else self._owner.hand_over.assignment()

    def unfinished(self) -> int:
        """How many records are handed out and not done."""
        return 0 if self._owner is None else self._owner.hand_over.unfinished()

    def standing(self) -> Standing:
        """How this member stands."""
        if self._owner is None:
            return Standing(joined=False, rebalances=0, polled=time.monotonic(), partitions={})
        return self._owner.standing()

    async def stop(self) -> None:
        """Commit and leave the group."""
        self._stopped = True
        if self._owner is not None:
            await self._owner.order("stop")
            await asyncio.to_thread(self._owner.join)

    def _running(self) -> Owner:
        if self._owner is None or self._stopped:
            raise KafkaUnavailableError("this consumer is not running; start one first")
        return self._owner
