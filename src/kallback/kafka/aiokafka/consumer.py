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
import itertools
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from kallback.kafka.aiokafka.bootstrap import until_reachable
from kallback.kafka.aiokafka.client import connect, require_topics, translated
from kallback.kafka.aiokafka.current_reading import CurrentReading
from kallback.kafka.aiokafka.membership.commits import COMMIT_TIMEOUT_S, MemberCommits
from kallback.kafka.aiokafka.membership.committed_offsets import partition_starts
from kallback.kafka.aiokafka.membership.group_member import READ_AT_ONCE, AiokafkaWatermarks, new_member
from kallback.kafka.aiokafka.membership.leaving import close_each, leave_and_close
from kallback.kafka.aiokafka.membership.rebalance import RebalanceListener
from kallback.kafka.aiokafka.membership.static_membership import FENCED
from kallback.kafka.aiokafka.stalls import AiokafkaStalls
from kallback.kafka.aiokafka.topic_watch import AiokafkaTopicWatch
from kallback.kafka.consumer import ConsumerOptions, GroupProtocol, check_group
from kallback.kafka.errors import fatal_failure, unreachable, up_to_damaged
from kallback.kafka.group_status import GroupStatus
from kallback.kafka.login.token_source import why_no_token
from kallback.kafka.offsets.followed_topics import report_first_reads
from kallback.kafka.offsets.metadata_buffer import new_record_buffer
from kallback.kafka.offsets.read_positions import ReadPositions
from kallback.kafka.records import Record, Screen, TopicPartition
from kallback.kafka.transaction_report import ProducerReport
from kallback.lifecycle import StartStop, Supervisor
from kallback.protocol.errors import AccessDeniedError, ConfigurationError, KafkaUnavailableError, KallbackError
from kallback.settings import named_log

from aiokafka import AIOKafkaConsumer, errors  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kallback.settings import KafkaSettings

log: Final = named_log("kallback.kafka")

_STALL_LOOK_S: Final = 10.0
_NO_PARTITION: Final = -1


class AiokafkaConsumer(StartStop):
    """A `Consumer` on aiokafka."""

    def __init__(
        self, settings: KafkaSettings, topics: Sequence[str], group: str, *, options: ConsumerOptions | None = None
    ) -> None:
        check_group(group)
        self._settings = settings
        self._topics = tuple(topics)
        self._group = group
        self._options = options or ConsumerOptions()
        if self._options.group_protocol is not GroupProtocol.CLASSIC:
            raise ConfigurationError("aiokafka speaks the classic group protocol only: use confluent-kafka")
        self._buffer = new_record_buffer(self._options, self._wake, time.monotonic)
        self._supervisor = Supervisor("kallback-consumer", self._ended_unexpectedly, log)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inner: AIOKafkaConsumer | None = None
        self._retiring: set[AIOKafkaConsumer] = set()
        self._joining_anew = False
        self._arrived = asyncio.Event()
        self._failure: KallbackError | None = None
        self._broken = False
        self._reading = CurrentReading(self._supervisor.guard("reading", self._read_over))
        self._positions = ReadPositions(self._buffer)
        self._topic_watch = AiokafkaTopicWatch(
            self._topics, self._buffer, self._positions, partial(why_no_token, settings)
        )
        self._followed = self._topic_watch.followed
        self._commits = MemberCommits(lambda: self._inner, self._buffer, self._topics, group)
        self._stalls = AiokafkaStalls()
        self._watermarks = AiokafkaWatermarks(ProducerReport(settings))
        self._last_tick = time.monotonic()
        self._stopped = False

    async def start(self) -> None:
        """Connect, check the topics, join the group."""
        self._refuse_stopped()
        if self._inner is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._inner = await until_reachable(self._settings, self._joined, lambda: self._stopped)
        self._supervisor.run("timer", self._keep_time())

    async def _joined(self) -> AIOKafkaConsumer:
        inner = await new_member(self._settings, self._group, self._options, self._on_fenced)
        self._retiring.add(inner)  # until it is returned: what fails or is cancelled meanwhile is closed by `stop`
        try:
            await connect(inner, self._settings)
            await require_topics(inner, self._settings, self._topics)
            self._refuse_stopped()
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
                    if self._stopped or (self._inner is None and not self._joining_anew):
                        self._raise_failure()
                        raise KafkaUnavailableError("this consumer is not running; start one first")
                    self._arrived.clear()
                    if records := self._buffer.take(limit):
                        return records
                    self._raise_failure()
                    if self._inner is not None:
                        await self._read(self._inner)
                    await self._arrived.wait()
        except TimeoutError:
            return []

    def started(self, record: Record) -> None:
        """Count a record as started."""
        self._buffer.started(record)

    def must_commit_start(self, record: Record) -> bool:
        """Whether the start of a record is to be committed before the work begins."""
        return self._buffer.must_commit_start(record)

    def set_aside(self, records: Sequence[Record]) -> None:
        """Hold only the positions of records."""
        self._buffer.set_aside(records)

    def on_revoke(self, then: Callable[[frozenset[TopicPartition]], None]) -> None:
        """Have partitions told before they are taken away."""
        self._buffer.on_revoke = then

    def screen(self, screen: Screen) -> None:
        """Have each record screened as it is read."""
        self._buffer.screen = screen

    def release(self, record: Record) -> None:
        """Let no rebalance wait for a record."""
        self._buffer.release(record)

    def done(self, record: Record) -> None:
        """Settle a record."""
        self._buffer.done(record)

    async def commit(self) -> None:
        """Commit what is done."""
        await self._commit(leaving=False)

    async def _commit(self, *, leaving: bool) -> None:
        try:
            await self._commits.make(self._followed.missing, leaving=leaving)
        except AccessDeniedError as error:
            self._fail(error)

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that this member owns now."""
        return self._buffer.assignment()

    def unfinished(self) -> int:
        """The number of records that are handed out and not done."""
        return self._buffer.unfinished()

    def group_status(self) -> GroupStatus:
        """The status of this member."""
        seen = self._watermarks
        status = self._buffer.group_status(seen.end_offsets, self._last_tick, seen.positions, self._stalls.found)
        return self._followed.status(status, seen.transactions.noticed)

    async def stop(self) -> None:
        """Commit and leave the group; when it is cancelled, its clients are closed all the same."""
        self._stopped = True
        try:
            await self._supervisor.stop(COMMIT_TIMEOUT_S)
            await self._reading.end()
            if self._inner is not None:
                await self._commit(leaving=True)
        finally:
            inner, self._inner = self._inner, None
            await close_each(self._close, self._retiring | ({inner} if inner is not None else set()))
        self._forget_all()
        self._stalls.found = frozenset()

    async def _close(self, inner: AIOKafkaConsumer) -> None:
        """Close a client; one that does not end in time is left behind, and its group session expires."""
        self._retiring.add(inner)
        await leave_and_close(inner)
        self._retiring.discard(inner)  # not after a cancellation: then `stop` closes it

    def _refuse_stopped(self) -> None:
        if self._stopped:
            raise KafkaUnavailableError("this consumer is stopped; make a new one")

    def _forget_all(self) -> None:
        self._buffer.forget(list(self._positions.next))
        self._buffer.joined = False
        self._positions.forget(self._positions.next)
        self._followed.revoked([*self._followed.vanished, *self._followed.returned])

    # Readings.

    async def _read(self, inner: AIOKafkaConsumer) -> None:
        """See to it that a reading of the wanted partitions runs, or of none while none is assigned."""
        wanted = frozenset(self._buffer.needing_records())
        if self._reading.runs:
            if self._reading.covers(wanted) or not wanted:
                return
            await self._reading.end()
            wanted = frozenset(self._buffer.needing_records())
        if wanted or not self._positions.next:
            partitions = wanted or frozenset({TopicPartition(self._topics[0], _NO_PARTITION)})
            self._reading.begin(inner, partitions, min(self._options.buffer_records, READ_AT_ONCE))

    def _read_over(self, reading: asyncio.Task[dict[TopicPartition, list[Record]]]) -> None:
        self._arrived.set()
        if reading.cancelled():
            return
        error = reading.exception()
        if error is None:
            for partition, records in reading.result().items():
                self._admit(partition, records)
        elif isinstance(error, errors.UnknownTopicOrPartitionError):
            self._topic_watch.hurry()
        elif isinstance(error, errors.KafkaError):
            what = f"reading {', '.join(self._topics)}"
            self._failure = translated(error, what=what, topic=self._topics[0], group=self._group)
        elif not self._stopped:
            self._failure = KafkaUnavailableError(f"the Kafka client failed ({error!r}); start a new consumer")

    def _admit(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        if partition not in self._positions.next or not records:
            return
        if self._options.stop_at_damaged_batch:
            records, failure = up_to_damaged(records)
            if failure is not None:
                self._broken, self._failure = True, failure
            if not records:
                return
        epoch = self._positions.moved_to(partition, records[0].offset)
        for before, after in itertools.pairwise(records):
            self._positions.deleted.skipped(partition, before.next_offset, after.offset)
        self._positions.next[partition] = (epoch, records[-1].next_offset)
        if self._positions.went_back:
            self._topic_watch.hurry()
        self._buffer.put(partition, [msgspec.structs.replace(each, epoch=epoch) for each in records])

    def _raise_failure(self) -> None:
        failure = self._failure
        if not self._broken:
            self._failure = None  # the next fetch tries again
        if failure is not None:
            raise failure

    def _fail(self, failure: KallbackError) -> None:
        """Have fetch raise it."""
        self._failure = failure
        self._arrived.set()

    def _on_fenced(self, inner: AIOKafkaConsumer, after_loss: bool) -> None:  # noqa: FBT001 - a callback
        if inner is not self._inner:
            return  # it was replaced under the same id, by this consumer
        self._broken = True
        what = f"reading {', '.join(self._topics)} as instance {self._options.group_instance_id!r}"
        said = "fenced by another member of the same instance id"
        self._fail(fatal_failure(FENCED, said, what=what, group=self._group, after_loss=after_loss))

    def _ended_unexpectedly(self, error: Exception) -> None:
        self._broken = True
        what = f"the Kafka consumer of {', '.join(self._topics)} failed ({error!r})"
        self._fail(KafkaUnavailableError(f"{what}; start a new one"))

    def _wake(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._arrived.set)

    # Rebalance and commit.

    async def revoke(self, going: Iterable[TopicPartition]) -> None:
        """Drain and give away partitions; the group's rebalance waits for it."""
        partitions = list(going)
        self._buffer.stop_handing_out(partitions)
        await self._reading.end()
        if self._inner is not None:
            await self._topic_watch.look_before_leaving(self._inner, partitions)
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
        self._positions.forget(partitions)
        self._arrived.set()  # fetch hears from now on why the group cannot be joined again, if so

    async def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Begin to read partitions."""
        share = list(partitions)
        starts = await partition_starts(self._settings, self._group, share, self._options)
        report_first_reads(self._group, starts)
        self._buffer.restore(starts)
        epochs = self._buffer.assign(share)
        self._positions.forget(self._positions.next)
        self._positions.assign(epochs)
        self._followed.assigned(epochs, starts)
        self._topic_watch.hurry()
        log.info("partitions assigned", partitions=[str(each) for each in epochs])
        self._arrived.set()

    async def _keep_time(self) -> None:
        loop = asyncio.get_running_loop()
        next_commit, next_look = loop.time() + self._options.commit_interval, loop.time() + _STALL_LOOK_S
        while True:
            await asyncio.sleep(max(0, min(next_commit, next_look, self._watermarks.next_look) - loop.time()))
            self._last_tick = time.monotonic()
            if self._inner is not None and loop.time() >= self._watermarks.next_look:
                epochs = {each: epoch for each, (epoch, _) in self._positions.next.items()}
                if await self._watermarks.look(self._inner, self.assignment()):
                    self._followed.unanswered.answered()
                self._positions.reached(end_offsets := self._watermarks.reached(epochs))
                self._buffer.ended(end_offsets)
                if (denied := await self._topic_watch.look(self._inner)) is not None:
                    self._fail(denied)
                if self._followed.returned:
                    await self.join_anew()
            if loop.time() >= next_commit:
                await self.commit()
                next_commit = loop.time() + self._options.commit_interval
            if loop.time() >= next_look:
                await self._look_for_a_stall()
                next_look = loop.time() + _STALL_LOOK_S

    async def _look_for_a_stall(self) -> None:
        inner, wanted = self._inner, self._buffer.needing_records()
        if inner is None or not self._reading.runs or not wanted:
            return  # no fetch waits, or everything wanted is buffered: silence is expected
        if await self._stalls.look(inner, wanted, self._settings.connect_timeout):
            log.error(
                "partitions are not read although they have records: joining the group anew",
                partitions=[str(each) for each in self._stalls.found],
            )
            await self.join_anew()

    async def join_anew(self) -> None:
        """Replace a client that has stopped reading; what is unfinished comes again."""
        self._joining_anew = True  # a fetch waits for the new client
        try:
            await self._replace_client()
        finally:
            self._joining_anew = False
            self._arrived.set()

    async def _replace_client(self) -> None:
        await self._commit(leaving=True)
        await self._reading.end()
        old, self._inner = self._inner, None
        self._forget_all()  # but what is stalled: it is until a look finds it read
        if old is not None:
            await self._close(old)
        try:
            self._inner = await self._joined()
        except (KallbackError, TimeoutError) as error:
            log.warning("joining anew failed: the next fetch says so", reason=str(error))
            self._failure = error if isinstance(error, KallbackError) else unreachable(self._settings)


def _set_from_any_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)
