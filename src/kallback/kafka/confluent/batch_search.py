"""Finds where a batch ends that librdkafka cannot read, so that exactly its offsets can be stepped over.

librdkafka reports such a batch at its first offset, again and again, and says nothing about its length. A fetch from an
offset inside the batch fails in the same way, one behind it does not; so the end is found by doubling and halving, with
a client of its own in a thread of its own: the consumer goes on with its other partitions meanwhile.

Ownership: a thread per damaged batch, which ends by itself within `_SEARCH_TIMEOUT_S`. Results, failures included, are
taken by the consumer thread.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from kallback.kafka.confluent.client import ClientErrors, build, log
from kallback.kafka.confluent.membership.group_member import reader_config

from confluent_kafka import Consumer, KafkaError  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kallback.kafka.records import TopicPartition
    from kallback.settings import KafkaSettings

BAD_BATCH: Final = frozenset({KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG, KafkaError._NOT_IMPLEMENTED})  # noqa: SLF001 - librdkafka's own codes
"""Errors that a fetch of the same batch returns each time: wrong compression or too much of it, a wrong checksum, an
unknown codec."""

_ONE_BATCH: Final = {"message.max.bytes": 1000, "fetch.max.bytes": 1000, "fetch.message.max.bytes": 1000}
"""The least that librdkafka accepts. A broker sends the first batch in any case: what follows it is not unfolded."""
_SEARCH_TIMEOUT_S: Final = 60.0
_PROBE_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.1


class DamagedBatch(NamedTuple):
    """A batch that cannot be read.

    Attributes:
        epoch: of the assignment under which it was met.
        first: its first offset.
        end: the offset behind it; None if it could not be found in time.
    """

    partition: TopicPartition
    epoch: int
    first: int
    detail: str
    end: int | None


class BatchSearch:
    """Searches for the ends of damaged batches in the background."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._found: queue.SimpleQueue[DamagedBatch] = queue.SimpleQueue()

    def begin(self, partition: TopicPartition, epoch: int, first: int, detail: str) -> None:
        """Search for the end of a batch; its result is in `found` within a bound."""
        batch = DamagedBatch(partition, epoch, first, detail, None)
        threading.Thread(target=self._search, args=(batch,), name="kallback-batch-search", daemon=True).start()

    def put_back(self, batch: DamagedBatch) -> None:
        """Have a result found again, because it cannot be used yet."""
        self._found.put(batch)

    def found(self) -> Iterator[DamagedBatch]:
        """Take the results that are there."""
        while True:
            try:
                yield self._found.get_nowait()
            except queue.Empty:
                return

    def _search(self, batch: DamagedBatch) -> None:
        end: int | None = None
        try:
            end = end_of_batch(self._settings, batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, the consumer tries again
            log.warning("the end of a damaged batch is not found yet", batch=str(batch.partition), reason=str(error))
        finally:
            self._found.put(batch._replace(end=end))


def end_of_batch(settings: KafkaSettings, batch: DamagedBatch) -> int:
    """Return the offset behind a damaged batch and those damaged ones that follow it without a gap.

    Blocks, `_SEARCH_TIMEOUT_S` and a little more at most.

    Raises:
        TimeoutError: Kafka did not answer in time.
        KafkaException: Kafka does not say where the partition ends.
    """
    errors = ClientErrors(settings)
    config = reader_config(settings) | {"fetch.error.backoff.ms": 10} | _ONE_BATCH
    consumer = build(lambda it: Consumer(it | {"error_cb": errors}), config)
    try:
        return _Probe(consumer, batch.partition).end_of_damage(batch.first)
    finally:
        consumer.close()


def first_outside(first: int, is_inside: Callable[[int], bool], guess: int = 0) -> int:
    """Return the first offset after `first` for which `is_inside` is false. Pure; `first` itself is inside.

    Args:
        first: where to begin.
        is_inside: true up to some offset, false from there on.
        guess: a number of offsets that is tried first.
    """
    if guess and (guess == 1 or is_inside(first + guess - 1)) and not is_inside(first + guess):
        return first + guess
    low, step = first, 1
    while is_inside(low + step):
        low, step = low + step, 2 * step
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_inside(middle) else (low, middle)
    return high


class _Probe:
    """Fetches from one partition, to see which batch lies at an offset."""

    def __init__(self, consumer: Consumer, partition: TopicPartition) -> None:
        self._consumer = consumer
        self._partition = partition
        self._deadline = time.monotonic() + _SEARCH_TIMEOUT_S
        at = ClientPartition(partition.topic, partition.partition)
        _, self._limit = consumer.get_watermark_offsets(at, _PROBE_TIMEOUT_S)

    def end_of_damage(self, first: int) -> int:
        """Return the offset behind the damaged batches that follow each other from `first` on."""
        end = self._end_of_batch(first, 0)
        with contextlib.suppress(TimeoutError):  # the rest is met again
            while end < self._limit and self._damaged_at(end) == end:
                first, end = end, self._end_of_batch(end, end - first)
        return end

    def _end_of_batch(self, first: int, guess: int) -> int:
        def is_inside(offset: int) -> bool:
            found = self._damaged_at(offset) if offset < self._limit else None
            return found is not None and found <= first  # beyond it, the next batch is damaged, too

        return first_outside(first, is_inside, guess)

    def _damaged_at(self, offset: int) -> int | None:
        """Return the first offset of the damaged batch that lies at an offset; None if what lies there can be read."""
        self._consumer.assign([ClientPartition(self._partition.topic, self._partition.partition, offset)])
        deadline = min(self._deadline, time.monotonic() + _PROBE_TIMEOUT_S)
        while time.monotonic() < deadline:
            message = self._consumer.poll(_POLL_S)
            error = None if message is None else message.error()
            if message is None or (error is not None and error.code() not in {*BAD_BATCH, KafkaError._PARTITION_EOF}):  # noqa: SLF001 - librdkafka's own code
                continue  # nothing yet, or trouble that passes
            return None if error is None or error.code() not in BAD_BATCH else message.offset()
        raise TimeoutError(f"no answer about offset {offset}")
