"""A consumer on aiokafka: everything on one event loop.

Who owns what: a *reading* (one `getmany` of the partitions that are wanted) runs as a task beside `fetch` and
puts its records into a `RecordBuffer`, so that cancelling `fetch` loses nothing. `getmany` is asked for exactly the
partitions of which nothing is held and whose window has room: others keep what aiokafka prefetched. When that
set changes, the reading is cancelled and begun anew (`getmany` survives cancelling: it takes records last). While no
partition is assigned, a reading of a partition that cannot be is under way: aiokafka tells only whoever calls
`getmany` why it does not get into the group, and waits with the next try until it has.

Rebalance (eager: every partition goes and comes back): the reading ends first, so that no reading spans two
assignments; nothing more is handed out; unfinished records get `drain_timeout`; what is done is committed; the
epochs end. aiokafka rejoins when the listener returns, and heartbeats meanwhile. With notes, what the group has
committed is asked for (10 s at most) before the first record of a new assignment is handed out.

aiokafka leaves the group when nobody calls `getmany` for `max_poll_interval_ms`; here whoever does not fetch is
just busy, so that limit is put out of reach. A loop that is stuck stops heartbeats, which is the limit that counts.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from kallback.kafka.aiokafka.client import adopt_abandoned_commits, connect, require_topics, translated
from kallback.kafka.aiokafka.committed_offsets import client_commits, committed_metadata
from kallback.kafka.aiokafka.group_member import consumer_config, record_of
from kallback.kafka.aiokafka.stall_detector import FetchStallDetector
from kallback.kafka.aiokafka.watermarks import AiokafkaWatermarks
from kallback.kafka.consumer import ConsumerOptions, GroupProtocol
from kallback.kafka.group_status import GroupStatus
from kallback.kafka.offsets.metadata_buffer import new_record_buffer
from kallback.kafka.records import Record, TopicPartition
from kallback.lifecycle import StartStop
from kallback.protocol.errors import ConfigurationError, KafkaUnavailableError, KallbackError
from kallback.settings import named_log

from aiokafka import (  # isort: skip - the check comes first
    AIOKafkaConsumer,
    ConsumerRebalanceListener,
    ConsumerRecord,
    errors,
)
from aiokafka import TopicPartition as ClientPartition  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kallback.settings import KafkaSettings

log: Final = named_log("kallback.kafka")

_READING_MS: Final = 1000
_COMMIT_PATIENCE: Final = 5.0
_LOOK: Final = 10.0
_STALL: Final = 30.0
_NOWHERE: Final = -1

ClientRecords = dict[ClientPartition, list[ConsumerRecord[bytes | None, bytes | None]]]


class AiokafkaConsumer(StartStop):
    """A `Consumer` on aiokafka."""

    def __init__(
        self, settings: KafkaSettings, topics: Sequence[str], group: str, *, options: ConsumerOptions | None = None
    ) -> None:
        self._settings = settings
        self._topics = tuple(topics)
        self._group = group
        self._options = options or ConsumerOptions()
        if self._options.group_protocol is not GroupProtocol.CLASSIC:
            raise ConfigurationError("aiokafka speaks the classic group protocol only: use confluent-kafka")
        self._buffer = new_record_buffer(self._options, self._wake)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inner: AIOKafkaConsumer | None = None
        self._arrived = asyncio.Event()
        self._failure: KallbackError | None = None
        self._reading: asyncio.Task[ClientRecords] | None = None
        self._wanted: frozenset[TopicPartition] = frozenset()
        self._next: dict[TopicPartition, tuple[int, int]] = {}
        self._timer: asyncio.Task[None] | None = None
        self._committing = asyncio.Lock()
        self._stall_detector = FetchStallDetector(_STALL)
        self._watermarks = AiokafkaWatermarks()
        self._ticked = time.monotonic()
        self._stopped = False

    async def start(self) -> None:
        """Connect, check the topics, join the group."""
        if self._stopped:
            raise KafkaUnavailableError("this consumer is stopped; make a new one")
        if self._inner is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._inner = await self._joined()
        self._timer = asyncio.create_task(self._keep_time(), name="kallback-consumer-timer")

    async def _joined(self) -> AIOKafkaConsumer:
        inner = AIOKafkaConsumer(**consumer_config(self._settings, self._group, self._options))
        try:
            await connect(inner, self._settings)
            await require_topics(inner, self._settings, self._topics)
        except BaseException:
            await inner.stop()
            raise
        inner.subscribe(self._topics, listener=_Listener(self))
        return inner

    async def fetch(self, limit: int, timeout: float) -> list[Record]:  # noqa: ASYNC109 - a poll's patience
        """Hand out the next records."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    if self._inner is None or self._stopped:
                        raise KafkaUnavailableError("this consumer is not running; start one first")
                    self._arrived.clear()
                    if records := self._buffer.take(limit):
                        return records
                    self._raise_failure()
                    await self._read(self._inner, limit)
                    await self._arrived.wait()
        except TimeoutError:
            return []

    def started(self, record: Record) -> None:
        """Count a record as begun."""
        self._buffer.started(record)

    def done(self, record: Record) -> None:
        """Settle a record."""
        self._buffer.done(record)

    async def commit(self) -> None:
        """Commit what is done."""
        await self._commit(leaving=False)

    async def _commit(self, *, leaving: bool) -> None:
        async with self._committing:
            commits = self._buffer.commits(leaving=leaving)
            if not commits or self._inner is None:
                return
            try:
                async with asyncio.timeout(_COMMIT_PATIENCE):  # aiokafka itself tries for ever
                    await self._inner.commit(client_commits(commits))
            except errors.OffsetMetadataTooLargeError:
                self._buffer.stop_metadata()
            except (errors.KafkaError, TimeoutError) as error:
                log.warning("commit failed, the next one covers it", detail=f"{type(error).__name__}: {error}")
            else:
                self._buffer.committed(commits)
            finally:
                adopt_abandoned_commits()

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that this member owns now."""
        return self._buffer.assignment()

    def unfinished(self) -> int:
        """How many records are handed out and not done."""
        return self._buffer.unfinished()

    def group_status(self) -> GroupStatus:
        """How this member stands."""
        return self._buffer.group_status(self._watermarks.known, self._ticked, self._watermarks.begins)

    async def stop(self) -> None:
        """Commit and leave the group."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.wait([self._timer])
            self._timer = None
        await self._end_reading()
        if self._inner is not None:
            await self._commit(leaving=True)
            inner, self._inner = self._inner, None
            await inner.stop()
        self._buffer.forget(list(self._next))
        self._buffer.joined = False
        self._next.clear()

    # Readings.

    async def _read(self, inner: AIOKafkaConsumer, limit: int) -> None:
        """See to it that a reading of the wanted partitions is under way, or of none while none is assigned."""
        wanted = frozenset(self._buffer.needing_records())
        if self._reading is not None:
            if wanted <= self._wanted or not wanted:
                return
            await self._end_reading()
            wanted = frozenset(self._buffer.needing_records())
        if wanted or not self._next:
            self._wanted = wanted
            partitions = [ClientPartition(each.topic, each.partition) for each in wanted]
            partitions = partitions or [ClientPartition(self._topics[0], _NOWHERE)]
            limit = min(limit, self._options.buffer_records)
            self._reading = asyncio.create_task(
                inner.getmany(*partitions, timeout_ms=_READING_MS, max_records=limit),
                name="kallback-reading",
            )
            self._reading.add_done_callback(self._read_over)

    async def _end_reading(self) -> None:
        reading, self._reading = self._reading, None  # while this one ends, another may begin
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])

    def _read_over(self, reading: asyncio.Task[ClientRecords]) -> None:
        if self._reading is reading:
            self._reading = None
        self._arrived.set()
        if reading.cancelled():
            return
        error = reading.exception()
        if error is None:
            for partition, messages in reading.result().items():
                self._admit(_ours(partition), messages)
        elif isinstance(error, errors.KafkaError):
            what = f"reading {', '.join(self._topics)}"
            self._failure = translated(error, what=what, topic=self._topics[0], group=self._group)
        elif not self._stopped:
            self._failure = KafkaUnavailableError(f"the Kafka client failed ({error!r}); start a new consumer")

    def _admit(self, partition: TopicPartition, messages: Sequence[ConsumerRecord[bytes | None, bytes | None]]) -> None:
        if partition not in self._next or not messages:
            return
        epoch, expected = self._next[partition]
        if messages[0].offset < expected:
            log.warning("offsets went back: the topic was truncated or made anew", partition=str(partition))
            epoch = self._buffer.restart(partition)
        self._next[partition] = (epoch, messages[-1].offset + 1)
        self._buffer.put(partition, [record_of(message, epoch) for message in messages])

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _wake(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._arrived.set)

    # Rebalance and commit.

    async def revoke(self, going: Iterable[TopicPartition]) -> None:
        """Drain and give away partitions; the group's rebalance waits for it."""
        partitions = list(going)
        self._buffer.stop_handing_out(partitions)
        await self._end_reading()
        drained = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._buffer.when_drained(partitions, lambda: _from_any_thread(loop, drained))
        try:
            async with asyncio.timeout(self._options.drain_timeout):
                await drained.wait()
        except TimeoutError:
            log.warning("unfinished records go to the next owner", partitions=[str(each) for each in partitions])
        await self._commit(leaving=True)
        self._buffer.forget(partitions)
        for partition in partitions:
            self._next.pop(partition, None)
        self._arrived.set()  # fetch hears from now on why the group cannot be joined again, if so

    async def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Begin to read partitions."""
        share = list(partitions)
        if self._options.commit_metadata:
            self._buffer.restore_metadata(share, await committed_metadata(self._settings, self._group, share))
        epochs = self._buffer.assign(share)
        self._next = {partition: (epoch, 0) for partition, epoch in epochs.items()}
        log.info("partitions assigned", partitions=[str(each) for each in epochs])
        self._arrived.set()

    async def _keep_time(self) -> None:
        loop = asyncio.get_running_loop()
        next_commit, next_look = loop.time() + self._options.commit_interval, loop.time() + _LOOK
        while True:
            await asyncio.sleep(max(0, min(next_commit, next_look, self._watermarks.next_look) - loop.time()))
            self._ticked = time.monotonic()
            if self._inner is not None and loop.time() >= self._watermarks.next_look:
                await self._watermarks.look(self._inner, self.assignment())
            if loop.time() >= next_commit:
                await self.commit()
                next_commit = loop.time() + self._options.commit_interval
            if loop.time() >= next_look:
                await self._look_for_a_stall(loop.time())
                next_look = loop.time() + _LOOK

    async def _look_for_a_stall(self, now: float) -> None:
        inner, wanted = self._inner, self._buffer.needing_records()
        if inner is None or self._reading is None or not wanted:
            return  # nobody fetches, or everything wanted is buffered: silence is expected
        partitions = [ClientPartition(each.topic, each.partition) for each in wanted]
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                end_offsets = {_ours(each): end for each, end in (await inner.end_offsets(partitions)).items()}
                positions = {_ours(each): await inner.position(each) for each in partitions}
        except (errors.KafkaError, TimeoutError):
            return  # Kafka is away, or a rebalance came between: no sign of a stall
        stalled = self._stall_detector.stalled(positions, end_offsets, now)
        if stalled:
            log.warning(
                "nothing arrives though there is more: joining anew", partitions=[str(each) for each in stalled]
            )
            await self.join_anew()

    async def join_anew(self) -> None:
        """Replace a client that has stopped reading; what is unfinished comes again."""
        await self._commit(leaving=True)
        await self._end_reading()
        old, self._inner = self._inner, None
        self._buffer.forget(list(self._next))
        self._buffer.joined = False
        self._next.clear()
        try:
            if old is not None:
                async with asyncio.timeout(self._settings.connect_timeout):
                    await old.stop()
            self._inner = await self._joined()
        except (KallbackError, TimeoutError) as error:
            log.warning("joining anew failed: the next fetch says so", detail=str(error))
        self._arrived.set()


class _Listener(ConsumerRebalanceListener):
    """Passes aiokafka's rebalance on."""

    def __init__(self, consumer: AiokafkaConsumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Iterable[ClientPartition]) -> None:
        await self._consumer.revoke(map(_ours, revoked))

    async def on_partitions_assigned(self, assigned: Iterable[ClientPartition]) -> None:
        await self._consumer.assign(map(_ours, assigned))


def _ours(partition: ClientPartition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.partition)


def _from_any_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)
