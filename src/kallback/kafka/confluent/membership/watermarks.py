"""Where partitions end, as librdkafka knows it. Called by the consumer thread only.

Every fetch response tells librdkafka the end of its partition, so looking it up costs nothing. A partition that is
paused, or not read for another reason, is not fetched, and its end would not move exactly when lag grows: these ends
are requested, all in one bounded request, every few seconds and not while all brokers are down. What was requested
counts until it is requested again: librdkafka's own end lies beyond transactions that are open, which are not read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

from kallback.kafka.confluent.client import log
from kallback.kafka.confluent.membership.group_member import client_partition, ours
from kallback.kafka.records import TopicPartition

from confluent_kafka import OFFSET_END, Consumer, KafkaException  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip

LOOK: Final = 1.0
"""Seconds between looks at what librdkafka knows."""
ASK: Final = 5.0
"""Seconds between questions to Kafka."""
_PATIENCE: Final = 1.0


class StableOffsets(NamedTuple):
    """What Kafka said in its last answer, and what was known then.

    Only these offsets may be compared: a client that is busy gets no answer, and what its fetches tell goes on.

    Attributes:
        stable: last stable offsets.
        log_end_offsets: where the logs ended before the question, records of open transactions included.
        at: when it was asked, in monotonic seconds.
    """

    stable: Mapping[TopicPartition, int]
    log_end_offsets: Mapping[TopicPartition, int]
    at: float


class ConfluentWatermarks:
    """End offsets by partition.

    Attributes:
        known: where the committed records end; replaced as a whole, so any thread may read it.
        answered: what Kafka said when it was asked last; nothing of a partition without leader.
        stable_offsets: those of the last answer.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._next_look = 0.0
        self._next_question = 0.0
        self._asked_watermarks: dict[TopicPartition, int] = {}
        self.known: dict[TopicPartition, int] = {}
        self.answered: dict[TopicPartition, int] = {}
        self.stable_offsets = StableOffsets({}, {}, 0.0)

    def is_due(self, now: float) -> bool:
        """Whether it is time to look."""
        return now >= self._next_look

    def look(self, now: float, owned: Iterable[TopicPartition], quiet: Collection[TopicPartition]) -> None:
        """Bring `known` up to date.

        Args:
            now: monotonic seconds.
            owned: the partitions that are assigned.
            quiet: those of them whose ends are asked of Kafka, because no fetch response may tell them.
        """
        self._next_look = now + LOOK
        found = {each: end for each in owned if (end := self._cached(each)) is not None}
        asked: dict[TopicPartition, int] = {}
        if not quiet:
            self.answered = {}
        elif now >= self._next_question:
            self._next_question = now + ASK
            asked = self.answered = self._asked(quiet)
            if asked:
                self.stable_offsets = StableOffsets(asked, found, now)
        self._asked_watermarks = {each: end for each, end in (self._asked_watermarks | asked).items() if each in quiet}
        self.known = found | self._asked_watermarks
        stable = {each: end for each, end in self.stable_offsets.stable.items() if each in quiet}
        self.stable_offsets = self.stable_offsets._replace(stable=stable)

    def forget(self, partition: TopicPartition) -> None:
        """Forget the end of a log that does not exist any more."""
        self.known = {each: end for each, end in self.known.items() if each != partition}
        self._asked_watermarks.pop(partition, None)

    def _cached(self, partition: TopicPartition) -> int | None:
        try:
            _, end = self._consumer.get_watermark_offsets(client_partition(partition), cached=True)
        except KafkaException:  # not fetched yet
            return None
        return end if end >= 0 else None

    def _asked(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        asked = [ClientPartition(each.topic, each.partition, OFFSET_END) for each in partitions]
        try:
            answers = self._consumer.offsets_for_times(asked, timeout=_PATIENCE)
        except KafkaException as error:
            log.debug("Kafka does not say where partitions end", detail=error.args[0].str())
            return {}
        return {ours(each): each.offset for each in answers if each.error is None and each.offset >= 0}
