"""How the partitions of one librdkafka consumer are read: messages in, records into the buffer. Consumer thread only.

It knows how far each partition was read, pauses and resumes partitions, learns where they end, and names those that
are not read although they have records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.kafka.confluent.batch_search import BAD_BATCH, BatchSearch
from kallback.kafka.confluent.client import ClientErrors, log
from kallback.kafka.confluent.flow_control import FlowControl
from kallback.kafka.confluent.messages import record_of
from kallback.kafka.confluent.watermarks import ConfluentWatermarks
from kallback.kafka.group_status import STALLED_AFTER_S
from kallback.kafka.offsets.read_stalls import ReadStallDetector
from kallback.kafka.records import Record, TopicPartition, Unreadable, unreadable_record

from confluent_kafka import Consumer, KafkaError, Message  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kallback.kafka.offsets.record_buffer import RecordBuffer

    OnError = Callable[[KafkaError, Message], object]

_POLL_S: Final = 0.05
_BATCH: Final = 500
_RECORD_BYTES: Final = 64 * 1024  # assumed of a record that is about to be consumed, to keep within the buffer


class PartitionReading:
    """Reads the partitions that a consumer owns.

    Args:
        on_error: told each error that librdkafka returns in place of a message.
        search: finds the ends of batches that cannot be decompressed, to step over them; None: they are errors.

    Attributes:
        stalled: owned partitions that are not read although they have records.
    """

    def __init__(
        self,
        consumer: Consumer,
        buffer: RecordBuffer,
        errors: ClientErrors,
        on_error: OnError,
        search: BatchSearch | None,
    ) -> None:
        self.stalled: frozenset[TopicPartition] = frozenset()
        self._consumer = consumer
        self._buffer = buffer
        self._errors = errors
        self._on_error = on_error
        self._search = search
        self._flow = FlowControl(consumer, buffer)
        self._watermarks = ConfluentWatermarks(consumer)
        self._stalls = ReadStallDetector(STALLED_AFTER_S)
        self._next: dict[TopicPartition, tuple[int, int]] = {}
        self._ended_at: dict[TopicPartition, int] = {}

    @property
    def owned(self) -> list[TopicPartition]:
        """The partitions that are assigned."""
        return list(self._next)

    @property
    def end_offsets(self) -> Mapping[TopicPartition, int]:
        """Where partitions end, as far as known; from any thread."""
        return self._watermarks.known

    def assign(self, epochs: Mapping[TopicPartition, int]) -> None:
        """Begin to read partitions."""
        self._next.update({partition: (epoch, 0) for partition, epoch in epochs.items()})

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """End reading partitions that are taken away."""
        gone = list(partitions)
        self._flow.forget(gone)
        for partition in gone:
            self._next.pop(partition, None)
            self._ended_at.pop(partition, None)
        self.stalled -= set(gone)

    def control_flow(self) -> None:
        """Wait a moment where much is buffered; pause what stays full, resume what was taken."""
        self._flow.update(self._next)

    def poll(self) -> None:
        """Read what is there into the buffer."""
        batch: dict[TopicPartition, list[Record]] = {}
        end_offsets: dict[TopicPartition, tuple[int, int]] = {}
        for messages in self._messages():
            for message in messages:
                error = message.error()
                if error is None:
                    self._admit(message, batch)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own code
                    self._end(message, end_offsets)
                elif not self._is_damaged(error, message):
                    self._on_error(error, message)
        for partition, records in batch.items():
            self._buffer.put(partition, records)
        if end_offsets:
            self._buffer.ended(end_offsets)

    def step_over_damaged(self) -> None:
        """Pass on the batches whose ends were found, as one unreadable record each, and go on behind them."""
        for batch in self._search.found() if self._search is not None else ():
            epoch, expected = self._next.get(batch.partition, (None, 0))
            if epoch != batch.epoch:
                continue
            first = max(batch.first, expected)
            if batch.end is not None and batch.end > first:
                log.warning("a batch cannot be decompressed, it is stepped over", batch=str(batch))
                why = Unreadable(batch.detail, batch.end - first)
                self._buffer.put(batch.partition, [unreadable_record(batch.partition, first, batch.epoch, why)])
                self._next[batch.partition] = (batch.epoch, batch.end)
            self._flow.resume(batch.partition)
            if batch.end is not None:
                self._consumer.seek(ClientPartition(batch.partition.topic, batch.partition.partition, batch.end))

    def _is_damaged(self, error: KafkaError, message: Message) -> bool:
        """Whether a batch is damaged; if so, its partition stops until the end of the batch is found."""
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if self._search is None or error.code() not in BAD_BATCH or topic is None or number is None or offset is None:
            return False
        partition = TopicPartition(topic, number)
        known = self._next.get(partition)
        if known is not None and partition not in self._flow.stopped:
            self._flow.stop(partition)
            self._search.begin(partition, known[0], offset, error.str())
        return True

    def look(self, now: float) -> None:
        """Learn where partitions end, and which are not read although they should be."""
        if not self._watermarks.is_due(now):
            return
        needing = [each for each in self._buffer.needing_records() if each in self._next]
        quiet = [] if self._errors.all_down else [*self._flow.paused, *needing]
        self._watermarks.look(now, self._next, quiet)
        positions = {
            each: max(self._next[each][1], self._ended_at.get(each, 0))
            for each in needing
            if each not in self._flow.stopped
        }
        stalled = self._stalls.stalled(positions, self._watermarks.known, now)
        for partition in stalled - self.stalled:
            log.error("a partition is not read although it has records: it is resumed", partition=str(partition))
            self._flow.resume(partition)
        self.stalled = stalled.union(self._flow.stopped)

    def _messages(self) -> Iterator[Sequence[Message]]:
        """Read the next message, and when it was looked at, what is there already: a rebalance may come in between."""
        first = self._consumer.poll(_POLL_S)
        if first is not None:
            yield (first,)
            if limit := min(_BATCH, self._buffer.bytes_free // _RECORD_BYTES):
                yield self._consumer.consume(limit, 0)

    def _admit(self, message: Message, batch: dict[TopicPartition, list[Record]]) -> None:
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if topic is None or number is None or offset is None:
            return
        partition = TopicPartition(topic, number)
        known = self._next.get(partition)
        if known is None:  # taken away while this batch was read
            return
        epoch, expected = known
        if offset < expected:
            log.warning("offsets went back: the topic was truncated or created anew", partition=str(partition))
            epoch = self._buffer.restart(partition)
            self._ended_at.pop(partition, None)
        record = record_of(message, partition, offset, epoch)
        self._next[partition] = (epoch, record.next_offset)
        batch.setdefault(partition, []).append(record)

    def _end(self, message: Message, end_offsets: dict[TopicPartition, tuple[int, int]]) -> None:
        """Note a partition's end, which lies beyond transaction markers."""
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if topic is not None and number is not None and offset is not None:
            partition = TopicPartition(topic, number)
            if partition in self._next:
                end_offsets[partition] = (self._next[partition][0], offset)
                self._ended_at[partition] = offset
