"""A consumer on aiokafka: everything on one event loop.

Ownership: a *reading* (one `getmany` of the partitions that need records) runs as a task beside `fetch` and puts its
records into a `RecordBuffer`, so that cancelling `fetch` loses nothing. `getmany` is asked for exactly the partitions
whose buffer is empty and whose window is not full: others keep what aiokafka prefetched. When that set changes, the
reading is cancelled and started again (`getmany` survives cancelling: it takes records last). While no partition is
assigned, a reading of a partition that cannot exist runs: aiokafka tells only the caller of `getmany` why it cannot
join the group, and waits with the next try until it has.

Rebalance (eager: every partition goes and comes back): the reading ends first, so that no reading spans two
assignments; nothing more is handed out; unfinished records get `drain_timeout`; what is done is committed; the
epochs end. aiokafka rejoins when the listener returns, and heartbeats meanwhile. With commit metadata, what the group
has committed is requested (10 s at most) before the first record of a new assignment is handed out.

aiokafka leaves the group when `getmany` is not called for `max_poll_interval_ms`; here a caller that does not fetch is
busy, so that limit is set out of reach. A blocked event loop stops heartbeats, which is the limit that counts.

Failures: the timer, the readings and the rebalance callbacks are supervised; what they raise reaches the caller of
`fetch`. A stop has a bound for each part.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import msgspec

from kallback.kafka.aiokafka.client import adopt_abandoned_commits, close, connect, require_topics, translated
from kallback.kafka.aiokafka.committed_offsets import client_commits, committed_metadata
from kallback.kafka.aiokafka.group_member import AiokafkaWatermarks, client_partition, consumer_config, ours
from kallback.kafka.aiokafka.rebalance import RebalanceListener
from kallback.kafka.aiokafka.tolerant_read import read_records
from kallback.kafka.consumer import ConsumerOptions, GroupProtocol
from kallback.kafka.group_status import STALLED_AFTER_S, GroupStatus
from kallback.kafka.offsets.metadata_buffer import new_record_buffer
from kallback.kafka.offsets.read_stalls import ReadStallDetector
from kallback.kafka.records import Record, TopicPartition
from kallback.lifecycle import StartStop, Supervisor
from kallback.protocol.errors import ConfigurationError, KafkaUnavailableError, KallbackError
from kallback.settings import named_log

from aiokafka import AIOKafkaConsumer, errors  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kallback.settings import KafkaSettings

log: Final = named_log("kallback.kafka")

_READING_MS: Final = 1000
_COMMIT_TIMEOUT_S: Final = 5.0
_STALL_LOOK_S: Final = 10.0
"""For leaving the group and closing connections; aiokafka itself may wait for its request timeout of 40 s."""
_NO_PARTITION: Final = -1


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
        self._supervisor = Supervisor("kallback-consumer", self._ended_unexpectedly, log)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inner: AIOKafkaConsumer | None = None
        self._retiring: set[AIOKafkaConsumer] = set()
        self._arrived = asyncio.Event()
        self._failure: KallbackError | None = None
        self._broken = False
        self._reading: asyncio.Task[dict[TopicPartition, list[Record]]] | None = None
        self._wanted: frozenset[TopicPartition] = frozenset()
        self._next: dict[TopicPartition, tuple[int, int]] = {}
        self._committing = asyncio.Lock()
        self._stalls = ReadStallDetector(STALLED_AFTER_S)
        self._stalled: frozenset[TopicPartition] = frozenset()
        self._watermarks = AiokafkaWatermarks()
        self._last_tick = time.monotonic()
        self._stopped = False

    async def start(self) -> None:
        """Connect, check the topics, join the group."""
        if self._stopped:
            raise KafkaUnavailableError("this consumer is stopped; make a new one")
        if self._inner is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._inner = await self._joined()
        self._supervisor.run("timer", self._keep_time())

    async def _joined(self) -> AIOKafkaConsumer:
        inner = AIOKafkaConsumer(**consumer_config(self._settings, self._group, self._options))
        self._retiring.add(inner)  # until it is returned: what fails or is cancelled meanwhile is closed by `stop`
        try:
            await connect(inner, self._settings)
            await require_topics(inner, self._settings, self._topics)
        except BaseException:
            await self._close(inner)
            raise
        inner.subscribe(self._topics, listener=RebalanceListener(self, self._supervisor.fail))
        self._retiring.discard(inner)
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
        """Count a record as started."""
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
                async with asyncio.timeout(_COMMIT_TIMEOUT_S):  # aiokafka itself tries for ever
                    await self._inner.commit(client_commits(commits))
            except errors.OffsetMetadataTooLargeError:
                self._buffer.stop_metadata()
            except (errors.KafkaError, TimeoutError) as error:
                log.warning("commit failed, the next one covers it", reason=f"{type(error).__name__}: {error}")
            else:
                self._buffer.committed(commits)
            finally:
                adopt_abandoned_commits()

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that this member owns now."""
        return self._buffer.assignment()

    def unfinished(self) -> int:
        """The number of records that are handed out and not done."""
        return self._buffer.unfinished()

    def group_status(self) -> GroupStatus:
        """The status of this member."""
        seen = self._watermarks
        return self._buffer.group_status(seen.end_offsets, self._last_tick, seen.positions, self._stalled)

    async def stop(self) -> None:
        """Commit and leave the group."""
        self._stopped = True
        await self._supervisor.stop(_COMMIT_TIMEOUT_S)
        await self._end_reading()
        if self._inner is not None:
            await self._commit(leaving=True)
            inner, self._inner = self._inner, None
            await self._close(inner)
        for each in tuple(self._retiring):
            await self._close(each)
        self._forget_all()

    async def _close(self, inner: AIOKafkaConsumer) -> None:
        """Close a client; one that does not end in time is left behind, and its group session expires."""
        self._retiring.add(inner)
        await close(inner)
        self._retiring.discard(inner)  # not after a cancellation: then `stop` closes it

    def _forget_all(self) -> None:
        self._buffer.forget(list(self._next))
        self._buffer.joined = False
        self._next.clear()
        self._stalled = frozenset()

    # Readings.

    async def _read(self, inner: AIOKafkaConsumer, limit: int) -> None:
        """See to it that a reading of the wanted partitions runs, or of none while none is assigned."""
        wanted = frozenset(self._buffer.needing_records())
        if self._reading is not None:
            if wanted <= self._wanted or not wanted:
                return
            await self._end_reading()
            wanted = frozenset(self._buffer.needing_records())
        if wanted or not self._next:
            self._wanted = wanted
            partitions = wanted or [TopicPartition(self._topics[0], _NO_PARTITION)]
            self._reading = asyncio.create_task(
                read_records(
                    inner,
                    [client_partition(each) for each in partitions],
                    timeout_ms=_READING_MS,
                    limit=min(limit, self._options.buffer_records),
                ),
                name="kallback-reading",
            )
            self._reading.add_done_callback(self._supervisor.guard("reading", self._read_over))

    async def _end_reading(self) -> None:
        reading, self._reading = self._reading, None  # while this one ends, another may begin
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading], timeout=_COMMIT_TIMEOUT_S)

    def _read_over(self, reading: asyncio.Task[dict[TopicPartition, list[Record]]]) -> None:
        if self._reading is reading:
            self._reading = None
        self._arrived.set()
        if reading.cancelled():
            return
        error = reading.exception()
        if error is None:
            for partition, records in reading.result().items():
                self._admit(partition, records)
        elif isinstance(error, errors.KafkaError):
            what = f"reading {', '.join(self._topics)}"
            self._failure = translated(error, what=what, topic=self._topics[0], group=self._group)
        elif not self._stopped:
            self._failure = KafkaUnavailableError(f"the Kafka client failed ({error!r}); start a new consumer")

    def _admit(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        if partition not in self._next or not records:
            return
        epoch, expected = self._next[partition]
        if records[0].offset < expected:
            log.warning("offsets went back: the topic was truncated or created anew", partition=str(partition))
            epoch = self._buffer.restart(partition)
        self._next[partition] = (epoch, records[-1].next_offset)
        self._buffer.put(partition, [msgspec.structs.replace(each, epoch=epoch) for each in records])

    def _raise_failure(self) -> None:
        failure = self._failure
        if failure is not None:
            if not self._broken:
                self._failure = None
            raise failure

    def _ended_unexpectedly(self, error: Exception) -> None:
        self._broken = True
        what = f"the Kafka consumer of {', '.join(self._topics)} failed ({error!r})"
        self._failure = KafkaUnavailableError(f"{what}; start a new one")
        self._arrived.set()

    def _wake(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._arrived.set)

    # Rebalance and commit.

    async def revoke(self, going: Iterable[TopicPartition]) -> None:
        """Drain and give away partitions; the group's rebalance waits for it."""
        partitions = list(going)
        self._buffer.stop_handing_out(partitions)
        await self._end_reading()
        drained = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._buffer.when_drained(partitions, lambda: _set_from_any_thread(loop, drained))
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
        next_commit, next_look = loop.time() + self._options.commit_interval, loop.time() + _STALL_LOOK_S
        while True:
            await asyncio.sleep(max(0, min(next_commit, next_look, self._watermarks.next_look) - loop.time()))
            self._last_tick = time.monotonic()
            if self._inner is not None and loop.time() >= self._watermarks.next_look:
                await self._watermarks.look(self._inner, self.assignment())
            if loop.time() >= next_commit:
                await self.commit()
                next_commit = loop.time() + self._options.commit_interval
            if loop.time() >= next_look:
                await self._look_for_a_stall(loop.time())
                next_look = loop.time() + _STALL_LOOK_S

    async def _look_for_a_stall(self, now: float) -> None:
        inner, wanted = self._inner, self._buffer.needing_records()
        if inner is None or self._reading is None or not wanted:
            return  # no fetch waits, or everything wanted is buffered: silence is expected
        partitions = [client_partition(each) for each in wanted]
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                end_offsets = {ours(each): end for each, end in (await inner.end_offsets(partitions)).items()}
                positions = {ours(each): await inner.position(each) for each in partitions}
        except (errors.KafkaError, TimeoutError):
            return  # Kafka is unavailable, or a rebalance came between: no sign of a stall
        self._stalled = self._stalls.stalled(positions, end_offsets, now)
        if self._stalled:
            log.error(
                "partitions are not read although they have records: joining the group anew",
                partitions=[str(each) for each in self._stalled],
            )
            await self.join_anew()

    async def join_anew(self) -> None:
        """Replace a client that has stopped reading; what is unfinished comes again."""
        await self._commit(leaving=True)
        await self._end_reading()
        old, self._inner = self._inner, None
        stalled = self._stalled
        self._forget_all()
        self._stalled = stalled  # until a look finds them read
        if old is not None:
            await self._close(old)
        try:
            self._inner = await self._joined()
        except (KallbackError, TimeoutError) as error:
            log.warning("joining anew failed: the next fetch says so", reason=str(error))
        self._arrived.set()


def _set_from_any_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)
