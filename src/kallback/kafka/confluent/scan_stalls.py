"""Notices that librdkafka does not read a partition of a scan although it has records. One thread at a time.

librdkafka itself never says so: a partition that it does not fetch looks like one without new records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.kafka.confluent.client import log
from kallback.kafka.errors import not_read
from kallback.kafka.offsets.read_stalls import READER_STALLED_AFTER_S, ReaderStalls
from kallback.kafka.records import TopicPartition

from confluent_kafka import OFFSET_END, Consumer, KafkaException  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_PATIENCE_S: Final = 2.0  # records wait for as long


class ScanStalls:
    """The partitions of one topic that are not read."""

    def __init__(self, consumer: Consumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic
        self._stalls = ReaderStalls()
        self._waited = 0.0

    def look(self, positions: Mapping[int, int], end_offsets: Mapping[int, int], waited: float) -> None:
        """Compare positions with ends, from time to time; blocks for a moment.

        Args:
            positions: the next offset to read, by number of the partition.
            end_offsets: ends that are known; Kafka is asked for the present ones.
            waited: seconds that the caller has waited for records since the last call.

        Raises:
            KafkaUnavailableError: partitions are not read; it names them.
        """
        self._waited += waited
        if not self._stalls.is_due(self._waited):
            return
        known = {**end_offsets, **self._asked(positions)}
        if stalled := self._stalls.stalled(self._named(positions), self._named(known), self._waited):
            raise not_read(stalled, READER_STALLED_AFTER_S)

    def _named(self, offsets: Mapping[int, int]) -> dict[TopicPartition, int]:
        return {TopicPartition(self._topic, number): offset for number, offset in offsets.items()}

    def _asked(self, partitions: Collection[int]) -> dict[int, int]:
        asked = [ClientPartition(self._topic, number, OFFSET_END) for number in partitions]
        try:
            answers = self._consumer.offsets_for_times(asked, timeout=_PATIENCE_S)
        except KafkaException as error:
            log.debug("Kafka does not say where partitions end", detail=error.args[0].str())
            return {}
        return {each.partition: each.offset for each in answers if each.error is None and each.offset >= 0}
