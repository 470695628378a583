"""How the partitions of one librdkafka consumer are read: messages in, records into the buffer. Consumer thread only.

It knows how far each partition was read, pauses and resumes partitions, learns where they end, and names those that
are not read although they have records.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from kallback.kafka.confluent.batch_search import BAD_BATCH, BatchSearch
from kallback.kafka.confluent.client import ClientErrors, log
from kallback.kafka.confluent.membership.flow_control import FlowControl
from kallback.kafka.confluent.membership.watermarks import ConfluentWatermarks
from kallback.kafka.confluent.messages import record_of
from kallback.kafka.group_status import STALLED_AFTER_S
from kallback.kafka.offsets.open_transactions import OpenTransactions, TransactionReport
from kallback.kafka.offsets.read_positions import ReadPositions
from kallback.kafka.offsets.read_stalls import ReadStallDetector
from kallback.kafka.records import Record, TopicPartition, Unreadable, unreadable_record
from kallback.lifecycle import LogThrottle

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kallback.kafka.offsets.record_buffer import RecordBuffer

    OnError = Callable[[KafkaError, Message], object]

_LASTING: Final = 2
"""How many times as long as until it is resumed, a partition is not read before its client is given up."""
POLL_S: Final = 0.05
_QUIET_POLL_S: Final = 0.2
"""Of a consumer that reads nothing: a stop waits for the end of a poll, and nothing else does."""
_QUIET_AFTER_S: Final = 1.0
_BATCH: Final = 500
_SLICE: Final = 8  # messages consumed at once: a record takes up to 10 MB as Python objects, if it has many headers
_RECORD_BYTES: Final = 64 * 1024  # assumed of a record that is about to be consumed, to keep within the buffer
_ADDED_BYTES: Final = 64 * 1024  # of slices that are added to the buffer together
_LARGE_BYTES: Final = 1024 * 1024  # of a slice, behind which messages are consumed one by one again
_POLL_BYTES: Final = 2 * 1024 * 1024  # of one poll: then a partition that is full is paused, or waits for the caller


class PartitionReading:
    """Reads the partitions that a consumer owns.

    Args:
        on_error: told each error that librdkafka returns in place of a message.
        search: finds the ends of batches that cannot be decompressed, to step over them; None: they are errors.
        report: says which transactions hold records back.

    Attributes:
        stalled: owned partitions that are not read although they have records.
        positions: where each owned partition is read on.
        transactions: those that hold records back.
    """

    def __init__(
        self,
        consumer: Consumer,
        buffer: RecordBuffer,
        errors: ClientErrors,
        on_error: OnError,
        search: BatchSearch | None,
        report: TransactionReport | None = None,
    ) -> None:
        self.stalled: frozenset[TopicPartition] = frozenset()
        self.positions = ReadPositions(buffer)
        self.transactions = OpenTransactions(report)
        self._buffer = buffer
        self._errors = errors
        self._on_error = on_error
        self._search = search
        self.use(consumer)
        self._stalls = ReadStallDetector(STALLED_AFTER_S)
        self._lasting_stalls = ReadStallDetector(_LASTING * STALLED_AFTER_S)
        self._throttle = LogThrottle(log)
        self._ended_at: dict[TopicPartition, int] = {}
        self._slice = 1
        self._last_read = time.monotonic()
        self._polled_bytes = 0

    def use(self, consumer: Consumer) -> None:
        """Read with a client, which owns no partitions yet."""
        self._consumer = consumer
        self._flow = FlowControl(consumer, self._buffer)
        self._watermarks = ConfluentWatermarks(consumer)

    @property
    def owned(self) -> list[TopicPartition]:
        """The partitions that are assigned."""
        return list(self.positions.next)

    @property
    def end_offsets(self) -> Mapping[TopicPartition, int]:
        """Where partitions end, as far as known; from any thread."""
        return self._watermarks.known

    def assign(self, epochs: Mapping[TopicPartition, int]) -> None:
        """Begin to read partitions."""
        self.positions.assign(epochs)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """End reading partitions that are taken away, and their epochs in the buffer."""
        gone = list(partitions)
        self._buffer.forget(gone)
        self._flow.forget(gone)
        self.positions.forget(gone)
        for partition in gone:
            self._ended_at.pop(partition, None)
        self.stalled -= set(gone)

    def restart(self, partition: TopicPartition) -> bool:
        """Read an owned partition of a topic that was created anew from its beginning.

        Returns:
            False while librdkafka cannot: it has yet to hear of the new topic.
        """
        if not self._seek(partition, OFFSET_BEGINNING):
            return False
        self._flow.resume(partition)
        self.positions.restart(partition)
        self._forget_end(partition)
        return True

    def _forget_end(self, partition: TopicPartition) -> None:
        self._ended_at.pop(partition, None)
        self._watermarks.forget(partition)

    def control_flow(self, may_wait: Callable[[], bool] = lambda: True) -> None:
        """Wait a moment where much is buffered, if that may be; pause what stays full, resume what was taken."""
        self._flow.update(self.positions.next, may_wait)

    def poll(self, wait_s: float = POLL_S) -> None:
        """Read what is there into the buffer, a few messages at a time: what they take is known only then.

        It waits so many seconds for the first one; what librdkafka reports is heard meanwhile.

        Slices of small records are added to the buffer together. Its other side is woken once at the end: it takes many
        records at a time, in place of each slice.
        """
        end_offsets: dict[TopicPartition, tuple[int, int]] = {}
        arrived = set[TopicPartition]()
        batch: dict[TopicPartition, list[Record]] = {}
        waiting = self._polled_bytes = 0
        for messages in self._messages(wait_s):
            size = 0
            self._last_read = time.monotonic()
            for message in messages:
                error = message.error()
                if error is None:
                    size += self._admit(message, batch)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own code
                    self._end(message, end_offsets)
                elif not self._is_damaged(error, message):
                    self._on_error(error, message)
            self._slice = 1 if size > _LARGE_BYTES else min(_SLICE, 2 * self._slice)
            self._polled_bytes += size
            waiting += size
            if waiting >= _ADDED_BYTES:
                arrived |= self._add(batch)
                batch, waiting = {}, 0
        arrived |= self._add(batch)
        self._buffer.announce(arrived)
        if end_offsets:
            self._buffer.ended(end_offsets)

    def patience(self, now: float) -> float:
        """How long a poll may wait: longer where nothing was read for a moment and nothing is being worked on."""
        is_quiet = now > self._last_read + _QUIET_AFTER_S and self._buffer.is_empty()
        return _QUIET_POLL_S if is_quiet else POLL_S

    def _add(self, batch: Mapping[TopicPartition, Sequence[Record]]) -> set[TopicPartition]:
        """Add records to the buffer; return their partitions."""
        for partition, records in batch.items():
            self._buffer.add(partition, records)
        return set(batch)

    def step_over_damaged(self) -> None:
        """Pass on the batches whose ends were found, as one unreadable record each, and go on behind them."""
        search = self._search
        if search is None:
            return
        for batch in tuple(search.found()):
            epoch, expected = self.positions.next.get(batch.partition, (None, 0))
            if epoch != batch.epoch:
                continue
            first = max(batch.first, expected)
            if batch.end is not None and batch.end > first:
                self._throttle.warning(
                    "a record batch cannot be read, it is stepped over",
                    kind=str(batch.partition),
                    partition=str(batch.partition),
                    reason=batch.detail,
                    offsets=batch.end - first,
                )
                why = Unreadable(f"a record batch cannot be read: {batch.detail}", batch.end - first, whole_batch=True)
                self._buffer.put(batch.partition, [unreadable_record(batch.partition, first, batch.epoch, why)])
                self.positions.next[batch.partition] = (batch.epoch, batch.end)
            self._flow.resume(batch.partition)
            if batch.end is not None and not self._seek(batch.partition, batch.end):
                self._flow.stop(batch.partition)
                search.put_back(batch)

    def _seek(self, partition: TopicPartition, offset: int) -> bool:
        """Go on at an offset; return whether librdkafka can now: not while it loses or looks for the partition."""
        try:
            self._consumer.seek(ClientPartition(partition.topic, partition.partition, offset))
        except KafkaException as error:
            log.debug("a partition cannot be read at another offset yet", partition=str(partition), reason=str(error))
            return False
        return True

    def _is_damaged(self, error: KafkaError, message: Message) -> bool:
        """Whether a batch is damaged; if so, its partition stops until the end of the batch is found."""
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if self._search is None or error.code() not in BAD_BATCH or topic is None or number is None or offset is None:
            return False
        partition = TopicPartition(topic, number)
        known = self.positions.next.get(partition)
        if known is not None and partition not in self._flow.stopped:
            self._flow.stop(partition)
            self._search.begin(partition, known[0], offset, error.str())
        return True

    def look(self, now: float) -> frozenset[TopicPartition]:
        """Learn where partitions end, and which are not read although they should be.

        Returns:
            Those that were resumed in vain, though Kafka answers for them: only a new client reads them.
        """
        if not self._watermarks.is_due(now):
            return frozenset()
        needing = [each for each in self._buffer.needing_records() if each in self.positions.next]
        quiet = [] if self._errors.all_down else [*self._flow.paused, *needing]
        self._watermarks.look(now, self.positions.next, quiet)
        seen = self._watermarks.stable_offsets
        self.transactions.look(seen.stable, seen.log_end_offsets, seen.at)
        positions = {
            each: max(self.positions.next[each][1], self._ended_at.get(each, 0))
            for each in needing
            if each not in self._flow.stopped
        }
        stalled = self._stalls.stalled(positions, self._watermarks.known, now)
        for partition in stalled - self.stalled:
            log.error("a partition is not read although it has records: it is resumed", partition=str(partition))
            self._flow.resume(partition)
        self.stalled = stalled.union(self._flow.stopped)
        return self._lasting_stalls.stalled(positions, self._watermarks.answered, now)

    def _messages(self, wait_s: float) -> Iterator[Sequence[Message]]:
        """Read the next message, and when it was looked at, what is there already: a rebalance may come in between."""
        first = self._consumer.poll(wait_s)
        messages: Sequence[Message] = () if first is None else (first,)
        left = _BATCH
        while messages:
            yield messages
            left -= len(messages)
            room = min(self._buffer.bytes_free, _POLL_BYTES - self._polled_bytes)
            limit = min(left, self._slice, room // _RECORD_BYTES)
            messages = self._consumer.consume(limit, 0) if limit > 0 else ()

    def _admit(self, message: Message, batch: dict[TopicPartition, list[Record]]) -> int:
        """Put a message into the batch as a record; return the bytes that it takes."""
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if topic is None or number is None or offset is None:
            return 0
        partition = TopicPartition(topic, number)
        known = self.positions.next.get(partition)
        if known is None:  # taken away while this batch was read
            return 0
        epoch, expected = known
        if offset != expected or not expected:
            epoch = self._moved_to(partition, offset)
        record = record_of(message, partition, offset, epoch)
        self.positions.next[partition] = (epoch, record.next_offset)
        batch.setdefault(partition, []).append(record)
        return record.size

    def _moved_to(self, partition: TopicPartition, offset: int) -> int:
        """Note that reading has come to an offset; return the epoch in which it counts."""
        before = self.positions.next[partition][0]
        epoch = self.positions.moved_to(partition, offset)
        if epoch != before:
            self._forget_end(partition)
            if partition in self._flow.stopped:  # for the end of a batch of the log as it was
                self._flow.resume(partition)
        return epoch

    def _end(self, message: Message, end_offsets: dict[TopicPartition, tuple[int, int]]) -> None:
        """Note a partition's end, which lies beyond transaction markers."""
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if topic is not None and number is not None and offset is not None:
            partition = TopicPartition(topic, number)
            if partition in self.positions.next:
                end_offsets[partition] = self._moved_to(partition, offset), offset
                self.positions.reached({partition: end_offsets[partition]})
                self._ended_at[partition] = offset
