"""A topic read on librdkafka without a group: the blocking calls, and one record looked up by its position.

The end: each partition reports when it is read to its end ("EOF"), past transaction markers and compacted offsets. On
a topic where writers never pause that may not happen, so the last offset that was there at the start counts too.

librdkafka wants a group id from every consumer. Partitions are assigned by hand and nothing is committed, so no group
comes to be; a cluster that forbids the name only makes the client grumble, which is ignored.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

from kallback.kafka.confluent.batch_search import BAD_BATCH, DamagedBatch, end_of_batch
from kallback.kafka.confluent.client import ClientErrors, build, first_contact, log
from kallback.kafka.confluent.group_member import reader_config
from kallback.kafka.confluent.messages import record_of
from kallback.kafka.errors import PERMANENT_FOR_A_CLIENT, error_for, unreachable
from kallback.kafka.records import TopicPartition, Unreadable, unreadable_record

from confluent_kafka import Consumer, KafkaError, KafkaException, Message  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from kallback.kafka.records import Position, Record
    from kallback.settings import KafkaSettings

_POLL: Final = 0.1
_BATCH: Final = 500


class TopicScan:
    """One topic. Every method blocks; one thread at a time.

    Attributes:
        end_offsets: partitions with records that were there at the start and are not read yet, and where those end.
    """

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._errors = ClientErrors(settings.client_id)
        self._consumer = build(lambda it: Consumer(it | {"error_cb": self._errors}), reader_config(settings))
        self.end_offsets: dict[int, int] = {}

    def assign_all(self, since_ms: int | None) -> None:
        """Begin every partition at its first record, or its first of that time (epoch milliseconds)."""
        with self._translated():
            ranges = {number: self._range(number) for number in self._partitions()}
            begins = {number: begin for number, (begin, _) in ranges.items()}
            end_offsets = {number: end for number, (_, end) in ranges.items()}
            if since_ms is not None:
                begins = self._offsets_at(since_ms, end_offsets)
            self._assign(begins)
        self.end_offsets = {number: end for number, end in end_offsets.items() if begins[number] < end}

    def assign_one(self, partition: int, offset: int) -> bool:
        """Begin one partition at one offset; False if there is no such partition or nothing at that offset."""
        with self._translated():
            if partition not in self._partitions():
                return False
            begin, end = self._range(partition)
            if not begin <= offset < end:
                return False
            self._assign({partition: offset})
        self.end_offsets = {partition: end}
        return True

    def poll(self) -> list[Record]:
        """Return what is there, the first record as soon as it is; nothing after a short while."""
        with self._translated():
            first = self._consumer.poll(_POLL)
            if first is None:
                return []
            return list(self._admitted((first, *self._consumer.consume(_BATCH, 0))))

    def close(self) -> None:
        """Close."""
        self._consumer.close()

    def _admitted(self, messages: Iterable[Message]) -> Iterator[Record]:
        for message in messages:
            error, partition, offset = message.error(), message.partition(), message.offset()
            if error is not None and error.code() in BAD_BATCH and partition is not None and offset is not None:
                yield self._step_over(partition, offset, error.str())
                return  # what follows was read before the seek, and comes again
            if error is not None:
                self._report(error, partition)
            elif partition is not None and offset is not None:
                if offset + 1 >= self.end_offsets.get(partition, float("inf")):
                    del self.end_offsets[partition]
                yield record_of(message, TopicPartition(self._topic, partition), offset, 0)

    def _step_over(self, partition: int, offset: int, detail: str) -> Record:
        """Go on behind a batch that cannot be decompressed; blocks until its end is found."""
        place = TopicPartition(self._topic, partition)
        end = end_of_batch(self._settings, DamagedBatch(place, 0, offset, detail, None))
        log.warning("a batch cannot be decompressed, it is stepped over", batch=f"{place}@{offset} to {end}")
        self._consumer.seek(ClientPartition(self._topic, partition, end))
        if end >= self.end_offsets.get(partition, float("inf")):
            del self.end_offsets[partition]
        return unreadable_record(place, offset, 0, Unreadable(detail, end - offset))

    def _report(self, error: KafkaError, partition: int | None) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes
            if partition is not None:
                self.end_offsets.pop(partition, None)
        elif error.fatal() or error.code() in PERMANENT_FOR_A_CLIENT - {KafkaError.GROUP_AUTHORIZATION_FAILED}:
            raise KafkaException(error)
        else:
            log.warning("Kafka client error while reading a topic", code=error.name(), detail=error.str())

    def _partitions(self) -> list[int]:
        first_contact(self._consumer, self._settings, self._errors, topics=[self._topic])
        return list(
            self._consumer.list_topics(self._topic, self._settings.connect_timeout).topics[self._topic].partitions
        )

    def _range(self, partition: int) -> tuple[int, int]:
        at = ClientPartition(self._topic, partition)
        return self._consumer.get_watermark_offsets(at, self._settings.connect_timeout)

    def _offsets_at(self, since_ms: int, end_offsets: dict[int, int]) -> dict[int, int]:
        times = [ClientPartition(self._topic, number, since_ms) for number in end_offsets]
        found = self._consumer.offsets_for_times(times, self._settings.connect_timeout)
        return {each.partition: each.offset if each.offset >= 0 else end_offsets[each.partition] for each in found}

    def _assign(self, begins: dict[int, int]) -> None:
        self._consumer.assign([ClientPartition(self._topic, number, offset) for number, offset in begins.items()])

    @contextlib.contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except KafkaException as error:
            kafka = error.args[0]
            raise error_for(kafka.code(), kafka.str(), what=f"reading {self._topic!r}", topic=self._topic) from None


async def find_record(settings: KafkaSettings, position: Position) -> Record | None:
    """Return the record at a position; None if it is not there any more, or never was.

    Raises:
        MissingTopicError: the topic does not exist.
        AccessDeniedError: reading it is not allowed.
        KafkaUnavailableError: no broker answered in time.
    """
    return await asyncio.to_thread(_find, settings, position)


def _find(settings: KafkaSettings, position: Position) -> Record | None:
    source = TopicScan(settings, position.topic)
    deadline = time.monotonic() + 2 * settings.connect_timeout
    try:
        if not source.assign_one(position.partition, position.offset):
            return None
        while source.end_offsets:
            if records := source.poll():
                return records[0] if records[0].offset == position.offset else None
            if time.monotonic() > deadline:
                raise unreachable(settings)
        return None
    finally:
        source.close()
