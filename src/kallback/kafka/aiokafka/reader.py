"""A groupless reader of one topic on aiokafka: every process sees every record.

aiokafka assigns all partitions itself, also those added later; then it begins all of them anew, so that records come
twice. Records that were fetched wait in `_ready` until a `fetch` returns them, so cancelling loses none. Positions, not
offsets of records, tell when the end is reached: the last offsets of a topic may be transaction markers or compacted
away.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import TYPE_CHECKING, Final

from kallback.kafka.aiokafka.batches.tolerant_read import read_records
from kallback.kafka.aiokafka.bootstrap import reachable_config, until_reachable
from kallback.kafka.aiokafka.client import close, connect, log, require_topics, translated, within
from kallback.kafka.aiokafka.membership.group_member import (
    TOPICS_REFRESH_MS,
    client_partition,
    fetch_config,
    ours,
    screen_fetches,
)
from kallback.kafka.aiokafka.stalls import positions_and_watermarks
from kallback.kafka.aiokafka.topic_states import leaderless, learn_topics, partition_counts, topic_states
from kallback.kafka.consumer import ConsumerOptions
from kallback.kafka.errors import NO_OFFSET_BY_TIME, SEARCH_FAILED, not_read, unreachable, without_leader
from kallback.kafka.offsets.read_stalls import READER_STALLED_AFTER_S, ReaderStalls
from kallback.kafka.offsets.topic_changes import TOPIC_LOOK_INTERVAL_S, TopicObserver, TopicRecreated
from kallback.kafka.records import TopicPartition
from kallback.lifecycle import StartStop
from kallback.protocol.errors import KafkaUnavailableError

from aiokafka import AIOKafkaConsumer, errors  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import TopicPartition as ClientPartition

    from kallback.kafka.records import Record
    from kallback.settings import KafkaSettings

_LOOK: Final = 0.02
_LEADER_LOOK_S: Final = 0.5
_STALL_LOOK_TIMEOUT_S: Final = 2.0  # records wait for as long
_READ_AT_ONCE: Final = 50  # as for members of groups; what is done with the records comes on top


class AiokafkaReader(StartStop):
    """A `TopicReader`.

    Args:
        since_ms: read from the first record of this time on (epoch milliseconds); default: from the beginning.
        record_bytes: larger records need not be returned, and are dropped from large batches; None: all are returned.
    """

    def __init__(
        self, settings: KafkaSettings, topic: str, *, since_ms: int | None = None, record_bytes: int | None = None
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._since_ms = since_ms
        self._record_bytes = record_bytes
        self._inner: AIOKafkaConsumer | None = None
        self._end_offsets: dict[ClientPartition, int] = {}
        self._ready: list[Record] = []
        self._caught_up = asyncio.Event()
        self._observer = TopicObserver()
        self._next_look = 0.0
        self._stalls = ReaderStalls()
        self._waited = 0.0
        self._stopped = False

    @property
    def caught_up(self) -> asyncio.Event:
        """Set once everything that was there at the start has been returned."""
        return self._caught_up

    async def start(self) -> None:
        """Connect and find the partitions."""
        self._refuse_stopped()
        if self._inner is None:
            self._inner = await until_reachable(self._settings, self._connected, lambda: self._stopped)

    async def _connected(self) -> AIOKafkaConsumer:
        inner = AIOKafkaConsumer(
            **await reachable_config(self._settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            metadata_max_age_ms=TOPICS_REFRESH_MS,
            **fetch_config(),
        )
        headers = self._record_bytes is not None  # dead letters have those that dead-lettering adds
        screen_fetches(inner, self._settings, ConsumerOptions(), headers=headers, record_bytes=self._record_bytes)
        try:
            await connect(inner, self._settings)
            await self._begin(inner)
            self._refuse_stopped()
        except BaseException:
            await close(inner)
            raise
        return inner

    async def fetch(self, timeout: float) -> list[Record]:  # noqa: ASYNC109 - a poll's patience
        """Return the next records."""
        if self._inner is None:
            raise KafkaUnavailableError("this reader is not running; start it first")
        began = time.monotonic()
        try:
            await self._look_at_topic(self._inner)
            fetched = await read_records(self._inner, (), timeout_ms=int(timeout * 1000), limit=_READ_AT_ONCE)
            self._ready.extend(record for each in fetched.values() for record in each)
            await self._look_for_the_end(self._inner)
        except errors.KafkaError as error:
            raise translated(error, what=f"reading {self._topic!r}", topic=self._topic) from None
        finally:
            self._waited += time.monotonic() - began
        await self._look_for_stalls(self._inner)
        records, self._ready = self._ready, []
        if not self._end_offsets:
            self._caught_up.set()
        return records

    async def stop(self) -> None:
        """Close."""
        self._stopped = True
        inner, self._inner = self._inner, None
        if inner is not None:
            await close(inner)

    def _refuse_stopped(self) -> None:
        if self._stopped:
            raise KafkaUnavailableError("this reader is stopped; make a new one")

    async def _begin(self, inner: AIOKafkaConsumer) -> None:
        await require_topics(inner, self._settings, [self._topic])
        await self._require_leaders(inner)
        await self._look_at_topic(inner)
        begins, end_offsets = await within(self._settings, self._range(inner), what=f"reading {self._topic!r}")
        inner.subscribe([self._topic])
        await within(self._settings, _assigned(inner), what=f"reading {self._topic!r}")
        for partition in inner.assignment() & begins.keys():
            inner.seek(partition, begins[partition])
        self._end_offsets = {each: end for each, end in end_offsets.items() if begins[each] < end}
        if not self._end_offsets:
            self._caught_up.set()

    async def _range(self, inner: AIOKafkaConsumer) -> tuple[dict[ClientPartition, int], dict[ClientPartition, int]]:
        """Where to begin, and where partitions end now.

        To be asked before anything is fetched: Kafka answers the requests of a connection one after the other, and an
        answer would come behind a fetch, which takes half a second where there are no records.
        """
        await learn_topics(inner, [self._topic])
        counts = await partition_counts(inner, [self._topic])
        partitions = [client_partition(TopicPartition(self._topic, number)) for number in range(counts[self._topic])]
        end_offsets = await inner.end_offsets(partitions)
        begins = await inner.beginning_offsets(partitions)
        if self._since_ms is not None:
            found = await offsets_at(inner, dict.fromkeys(partitions, self._since_ms))
            begins |= {each: end_offsets[each] if at is None else at for each, at in found.items()}
        return begins, end_offsets

    async def _require_leaders(self, inner: AIOKafkaConsumer) -> None:
        """Wait until every partition has a leader: aiokafka asks for the offsets of all of them in one question."""
        missing: list[TopicPartition] = []
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                while missing := await leaderless(inner, self._topic):  # noqa: ASYNC110 - Kafka has no event for it
                    await asyncio.sleep(_LEADER_LOOK_S)
        except TimeoutError:
            raise without_leader(missing, self._settings.connect_timeout) from None

    async def _look_for_stalls(self, inner: AIOKafkaConsumer) -> None:
        if self._stalls.is_due(self._waited):
            positions, end_offsets = await positions_and_watermarks(inner, inner.assignment(), _STALL_LOOK_TIMEOUT_S)
            known = {ours(each): end for each, end in self._end_offsets.items()}
            if stalled := self._stalls.stalled(positions, known | end_offsets, self._waited):
                raise not_read(stalled, READER_STALLED_AFTER_S)

    async def _look_at_topic(self, inner: AIOKafkaConsumer) -> None:
        """Notice that the topic was created anew: aiokafka would go on at the old position."""
        now = asyncio.get_running_loop().time()
        if now < self._next_look:
            return
        self._next_look = now + TOPIC_LOOK_INTERVAL_S
        for change in self._observer.observe(await topic_states(inner, [self._topic])):
            log.warning(change.event, **dataclasses.asdict(change))
            if isinstance(change, TopicRecreated):
                self._end_offsets.clear()
                for partition in inner.assignment():
                    inner.seek(partition, 0)  # a log that begins later: aiokafka goes on there

    async def _look_for_the_end(self, inner: AIOKafkaConsumer) -> None:
        for partition, end in list(self._end_offsets.items()):
            try:
                async with asyncio.timeout(self._settings.connect_timeout):
                    reached = await inner.position(partition) >= end
            except TimeoutError:
                raise unreachable(self._settings) from None
            except errors.IllegalStateError:  # the partition does not exist any more
                reached = True
            if reached:
                del self._end_offsets[partition]


async def offsets_at(
    inner: AIOKafkaConsumer, times: Mapping[ClientPartition, int]
) -> dict[ClientPartition, int | None]:
    """Return the offset of the first record of a time (epoch milliseconds) in each partition.

    Returns:
        None where there is no such record; a partition that the broker cannot search is missing.

    Raises:
        errors.KafkaError: any other answer.
    """
    try:
        found = await inner.offsets_for_times(dict(times))
    except errors.KafkaError as error:
        if getattr(error, "errno", None) not in NO_OFFSET_BY_TIME:
            raise
        if len(times) > 1:  # one partition fails the answer for all
            answers = [await offsets_at(inner, {each: at}) for each, at in times.items()]
            return {each: at for answer in answers for each, at in answer.items()}
        (partition,) = times
        log.warning(SEARCH_FAILED, partition=str(ours(partition)), reason=str(error))
        return {}
    return {each: None if (at := found.get(each)) is None else at.offset for each in times}


async def _assigned(inner: AIOKafkaConsumer) -> None:
    while not inner.assignment():  # noqa: ASYNC110 - aiokafka has no event for it
        await asyncio.sleep(_LOOK)
