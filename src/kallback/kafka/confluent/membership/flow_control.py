"""Which partitions librdkafka delivers: a full one is paused, a low one resumed. Called by the consumer thread only.

librdkafka keeps an application's pause when a partition is revoked and assigned again, even in a later assignment. So a
partition is resumed before it is forgotten: otherwise it would be owned and never read again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from kallback.kafka.confluent.client import log
from kallback.kafka.confluent.membership.group_member import client_partition

from confluent_kafka import Consumer, KafkaException  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from kallback.kafka.offsets.record_buffer import RecordBuffer
    from kallback.kafka.records import TopicPartition

_WAIT_S: Final = 0.05  # for the caller to take something: a pause discards what librdkafka prefetched
_LONGEST_WAIT_S: Final = 0.5  # for a caller that goes on taking: meanwhile nothing is polled or committed


class FlowControl:
    """Pauses and resumes the partitions of one consumer."""

    def __init__(self, consumer: Consumer, buffer: RecordBuffer) -> None:
        self._consumer = consumer
        self._buffer = buffer
        self._paused: set[TopicPartition] = set()
        self._stopped: set[TopicPartition] = set()

    @property
    def paused(self) -> Collection[TopicPartition]:
        """The partitions that are not delivered now."""
        return self._paused | self._stopped

    @property
    def stopped(self) -> Collection[TopicPartition]:
        """Those of them that wait for `resume`."""
        return self._stopped

    def update(self, owned: Iterable[TopicPartition], may_wait: Callable[[], bool] = lambda: True) -> None:
        """Wait where much is buffered, while the caller takes of it; pause what stays full, resume what was taken.

        Args:
            owned: the partitions that are assigned.
            may_wait: if it says no, what is full is paused at once. Who changes its answer sets `taken` of the buffer.
        """
        deadline = time.monotonic() + _LONGEST_WAIT_S
        while full := [each for each in owned if each not in self._paused and self._buffer.is_full(each)]:
            self._buffer.taken.clear()
            if not (may_wait() and self._buffer.taken.wait(min(_WAIT_S, deadline - time.monotonic()))):
                self._paused.update(full)
                self._consumer.pause([client_partition(each) for each in full])
                break
        low = [each for each in self._paused if self._buffer.is_low(each)]
        self._paused.difference_update(low)
        self._resume([each for each in low if each not in self._stopped])

    def stop(self, partition: TopicPartition) -> None:
        """Pause a partition until `resume`, whatever its buffer holds."""
        self._stopped.add(partition)
        self._consumer.pause([client_partition(partition)])

    def resume(self, partition: TopicPartition) -> None:
        """Deliver a partition again that was stopped or is stalled; a full one is paused again by `update`."""
        self._stopped.discard(partition)
        self._paused.discard(partition)
        self._resume([partition])

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Resume partitions that are taken away: their pause would outlive the assignment."""
        gone = set(partitions)
        self._resume([each for each in gone if each in self._paused or each in self._stopped])
        self._paused -= gone
        self._stopped -= gone

    def _resume(self, partitions: list[TopicPartition]) -> None:
        if not partitions:
            return
        try:
            self._consumer.resume([client_partition(each) for each in partitions])
        except (KafkaException, RuntimeError) as error:  # RuntimeError: closed, and the pause ends with the client
            log.warning("partitions could not be resumed", partitions=list(map(str, partitions)), reason=str(error))
