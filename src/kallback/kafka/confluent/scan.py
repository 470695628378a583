"""A topic read on librdkafka without a group: the blocking calls.

The end: each partition reports when it is read to its end ("EOF"), past transaction markers and compacted offsets. On
a topic where writers never pause that may not happen, so the last offset that was there at the start counts too.

librdkafka wants a group id from every consumer. Partitions are assigned by hand and nothing is committed, so no group
comes to be; a cluster that forbids the name only makes the client grumble, which is ignored.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Final

from kallback.kafka.confluent.batch_search import BAD_BATCH, DamagedBatch, end_of_batch
from kallback.kafka.confluent.client import ClientErrors, build, failure_of, first_contact, log, may_log_in_again
from kallback.kafka.confluent.login import LoginRenewal
from kallback.kafka.confluent.membership.group_member import reader_config
from kallback.kafka.confluent.messages import record_of
from kallback.kafka.confluent.scan_stalls import ScanStalls
from kallback.kafka.confluent.topic_watch import TopicWatch
from kallback.kafka.errors import (
    MISSING_TOPIC,
    NO_OFFSET_BY_TIME,
    PERMANENT_FOR_A_CLIENT,
    SEARCH_FAILED,
    without_leader,
)
from kallback.kafka.offsets.topic_changes import PartitionsAdded, TopicChange, TopicObserver, TopicRecreated, TopicState
from kallback.kafka.records import TopicPartition, Unreadable, unreadable_record

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from kallback.kafka.records import Record
    from kallback.settings import KafkaSettings

_POLL: Final = 0.1
_QUIET_POLL: Final = 0.2  # behind the end: the first record ends a poll, and a stop waits for its end
_LEADER_LOOK_S: Final = 0.5
_NO_LEADER: Final = frozenset(
    {
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - librdkafka's own codes
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,  # of a new topic: it is named as the leader before it knows
    }
)
"""Of a partition that exists."""
_BATCH: Final = 500
_SLICE: Final = 8  # messages consumed at once: each may have a key or headers of a megabyte
_LARGE_BYTES: Final = 512 * 1024  # of records, behind which no more are consumed in one poll


class TopicScan:
    """One topic. Every method but `abandon` blocks; one thread at a time.

    Args:
        follow: also read partitions that are added later, and the topic that is created anew under this name.
        abandoned: as `abandon`, for owners that have an event of their own.

    Attributes:
        end_offsets: partitions with records that were there at the start and are not read yet, and where those end.
    """

    def __init__(
        self, settings: KafkaSettings, topic: str, *, follow: bool = False, abandoned: threading.Event | None = None
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._errors = ClientErrors(settings)
        self._renewal = LoginRenewal(settings)
        self._consumer = self._made()
        self._abandoned = abandoned or threading.Event()
        self._watch = TopicWatch(settings, [topic]) if follow else None
        self._stalls = ScanStalls(self._consumer, topic)
        self._observer = TopicObserver()
        self._positions: dict[int, int] = {}
        self._polled_bytes = 0
        self._stepped: set[int | None] = set()  # partitions, in this poll
        self.end_offsets: dict[int, int] = {}

    def abandon(self) -> None:
        """Make a call that waits for Kafka give up soon; from any thread."""
        self._abandoned.set()

    def assign_all(self, since_ms: int | None) -> None:
        """Begin every partition at its first record, or its first of that time (epoch milliseconds)."""
        with self._translated():
            ranges = {number: self._range(number) for number in self._partitions()}
            begins = {number: begin for number, (begin, _) in ranges.items()}
            end_offsets = {number: end for number, (_, end) in ranges.items()}
            if since_ms is not None:
                times = [ClientPartition(self._topic, number, since_ms) for number in begins]
                found = offsets_at(self._consumer, times, self._settings.connect_timeout)
                begins |= {number: end_offsets[number] if at is None else at for number, at in found.items()}
            self._assign(begins)
        self._observer.observe({self._topic: TopicState(None, len(ranges))})
        self.end_offsets = {number: end for number, end in end_offsets.items() if begins[number] < end}

    def assign_ranges(self, wanted: Mapping[int, tuple[int, int]]) -> bool:
        """Begin some partitions at an offset each, to be read to before another; False if no record is there.

        Args:
            wanted: first offset and end, by number of the partition.
        """
        with self._translated():
            numbers = [number for number in self._partitions() if number in wanted]
            there = {number: self._range(number) for number in numbers}
            ranges = {n: (max(wanted[n][0], begin), min(wanted[n][1], end)) for n, (begin, end) in there.items()}
            begins = {number: begin for number, (begin, end) in ranges.items() if begin < end}
            if begins:
                self._assign(begins)
        self.end_offsets = {number: ranges[number][1] for number in begins}
        return bool(begins)

    def go_to(self, partition: int, offset: int) -> None:
        """Go on elsewhere in a partition of which records were returned; blocks for a moment."""
        with self._translated():
            self._consumer.seek(ClientPartition(self._topic, partition, offset))
        self._positions[partition] = offset

    def leave(self, partition: int) -> None:
        """Read no more of a partition."""
        with self._translated():
            self._consumer.pause([ClientPartition(self._topic, partition)])
        self._positions.pop(partition, None)
        self.end_offsets.pop(partition, None)

    def poll(self) -> list[Record]:
        """Return what is there, the first record as soon as it is; nothing after a short while."""
        with self._translated():
            self._look()
            self._renew()
            began = time.monotonic()
            first = self._consumer.poll(_POLL if self.end_offsets else _QUIET_POLL)
            waited = time.monotonic() - began
            records: list[Record] = []
            for record in self._admitted(self._messages(first)):
                records.append(record)
                self._polled_bytes += record.size
            self._stalls.look(self._positions, self.end_offsets, waited)
            return records

    def close(self) -> None:
        """Close."""
        try:
            if self._watch is not None:
                self._watch.close()
        finally:
            self._consumer.close()

    def _messages(self, first: Message | None) -> Iterator[Message]:
        """Go on with what is there already, a few at a time: what they take is known only when they are records.

        Not behind a batch that was stepped over: what was read of its partition before the seek comes again, and is
        dropped; what is read after it does not.
        """
        self._polled_bytes = 0
        self._stepped.clear()
        messages: Sequence[Message] = () if first is None else (first,)
        left = _BATCH
        while messages:
            before = self._polled_bytes
            yield from messages
            left -= len(messages)
            at_once = _SLICE if self._polled_bytes - before < _LARGE_BYTES // _SLICE else 1
            is_full = left <= 0 or self._polled_bytes >= _LARGE_BYTES or self._stepped
            messages = () if is_full else self._consumer.consume(min(at_once, left), 0)

    def _made(self) -> Consumer:
        return build(lambda it: Consumer(it | {"error_cb": self._errors}), reader_config(self._settings))

    def _renew(self) -> None:
        """If files have changed, go on with a new client where the present one is."""
        fresh = self._renewal.renewed(self._consumer, self._made, "reader")
        if fresh is None:
            return
        self._consumer.close()
        self._consumer = fresh
        self._stalls = ScanStalls(fresh, self._topic)
        self._assign(self._positions)

    def _look(self) -> None:
        facts = None if self._watch is None else self._watch.look(time.monotonic())
        if facts is not None:
            self._adopt(self._observer.observe(facts.topics))

    def _adopt(self, changes: Iterable[TopicChange]) -> None:
        """Read a topic that was created anew from its beginning, and added partitions from theirs."""
        for change in changes:
            log.warning(change.event, **dataclasses.asdict(change))
            if isinstance(change, TopicRecreated):
                self.end_offsets.clear()
                self._assign(dict.fromkeys(range(change.partitions), OFFSET_BEGINNING))
            elif isinstance(change, PartitionsAdded):
                self._assign(dict.fromkeys(range(change.partitions), OFFSET_BEGINNING) | self._positions)

    def _admitted(self, messages: Iterable[Message]) -> Iterator[Record]:
        for message in messages:
            error, partition, offset = message.error(), message.partition(), message.offset()
            if partition in self._stepped:
                continue  # it was read before the seek, and comes again
            if error is not None and error.code() in BAD_BATCH and partition is not None and offset is not None:
                self._stepped.add(partition)
                yield self._step_over(partition, offset, error.str())
            elif error is not None:
                self._report(error, partition, offset)
            elif partition is not None and offset is not None:
                if offset + 1 >= self.end_offsets.get(partition, float("inf")):
                    del self.end_offsets[partition]
                self._positions[partition] = offset + 1
                yield record_of(message, TopicPartition(self._topic, partition), offset, 0)

    def _step_over(self, partition: int, offset: int, detail: str) -> Record:
        """Go on behind a batch that cannot be decompressed; blocks until its end is found."""
        place = TopicPartition(self._topic, partition)
        end = end_of_batch(self._settings, DamagedBatch(place, 0, offset, detail, None))
        log.warning("a batch cannot be decompressed, it is stepped over", batch=f"{place}@{offset} to {end}")
        self._consumer.seek(ClientPartition(self._topic, partition, end))
        self._positions[partition] = end
        if end >= self.end_offsets.get(partition, float("inf")):
            del self.end_offsets[partition]
        return unreadable_record(place, offset, 0, Unreadable(detail, end - offset))

    def _report(self, error: KafkaError, partition: int | None, offset: int | None) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes
            if partition is not None and offset is not None:
                self.end_offsets.pop(partition, None)
                self._positions[partition] = offset
        elif error.code() in MISSING_TOPIC and self._watch is not None:
            if partition is None or partition < 0:  # of one partition: a topic that was created anew may have fewer
                self._adopt(self._observer.observe({self._topic: None}))
            self._watch.hurry()
        elif error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            pass  # a reader is in no group, and needs no permission for the one that librdkafka wants a name of
        elif error.fatal() or (error.code() in PERMANENT_FOR_A_CLIENT and not may_log_in_again(error, self._settings)):
            raise KafkaException(error)
        else:
            log.warning("Kafka client error while reading a topic", code=error.name(), detail=error.str())

    def _partitions(self) -> list[int]:
        first_contact(self._consumer, self._settings, self._errors, topics=[self._topic], abandoned=self._abandoned)
        return list(
            self._consumer.list_topics(self._topic, self._settings.connect_timeout).topics[self._topic].partitions
        )

    def _range(self, partition: int) -> tuple[int, int]:
        """Return where a partition begins and ends; waits until it has a leader."""
        at = ClientPartition(self._topic, partition)
        deadline = time.monotonic() + self._settings.connect_timeout
        while True:
            try:
                return self._consumer.get_watermark_offsets(at, self._settings.connect_timeout)
            except KafkaException as error:
                if error.args[0].code() not in _NO_LEADER:
                    raise
            if self._abandoned.is_set() or time.monotonic() > deadline:
                raise without_leader([TopicPartition(self._topic, partition)], self._settings.connect_timeout)
            time.sleep(_LEADER_LOOK_S)

    def _assign(self, begins: dict[int, int]) -> None:
        self._positions = dict(begins)
        self._consumer.assign([ClientPartition(self._topic, number, offset) for number, offset in begins.items()])

    @contextlib.contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except KafkaException as error:
            what = f"reading {self._topic!r}"
            raise failure_of(error.args[0], self._settings, what=what, topic=self._topic) from None


def offsets_at(consumer: Consumer, times: list[ClientPartition], timeout: float) -> dict[int, int | None]:
    """Return the offset of the first record of a time in each partition.

    Args:
        consumer: asks.
        times: partitions of one topic, each with epoch milliseconds in place of an offset.
        timeout: seconds of one question.

    Returns:
        By number of the partition. None where there is no such record; a partition that the broker cannot search is
        missing.

    Raises:
        KafkaException: any other answer.
    """
    try:
        answers = consumer.offsets_for_times(times, timeout)
        refusal: KafkaError | None = next((each.error for each in answers if each.error is not None), None)
    except KafkaException as error:
        answers, refusal = [], error.args[0]
    if refusal is None:
        return {each.partition: each.offset if each.offset >= 0 else None for each in answers}
    if refusal.code() not in NO_OFFSET_BY_TIME:
        raise KafkaException(refusal)
    if len(times) > 1:  # one partition fails the answer for all
        single = [offsets_at(consumer, [each], timeout) for each in times]
        return {number: at for answer in single for number, at in answer.items()}
    place = TopicPartition(times[0].topic, times[0].partition)
    log.warning(SEARCH_FAILED, partition=str(place), reason=refusal.str())
    return {}
