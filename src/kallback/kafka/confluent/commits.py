"""Commits of a librdkafka consumer: in the background between polls, or blocking inside a rebalance callback.

Called by the consumer thread only; Kafka's answer to a background commit arrives inside a poll of the same thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.kafka.confluent.client import ClientErrors, log
from kallback.kafka.confluent.group_member import client_commit, ours
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.offsets.record_buffer import RecordBuffer
from kallback.kafka.records import TopicPartition

from confluent_kafka import Consumer, KafkaError, KafkaException  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Collection

_PROBE: Final = 0.5


class Commits:
    """Commits what the record buffer says is due.

    Attributes:
        under_way: how many commits Kafka has not answered yet.
    """

    def __init__(self, buffer: RecordBuffer, errors: ClientErrors, topic: str) -> None:
        self.under_way = 0
        self._buffer = buffer
        self._errors = errors
        self._topic = topic

    def begin(self, consumer: Consumer, *, leaving: bool = False) -> None:
        """Commit in the background; `leaving` all partitions takes starts back."""
        commits = self._buffer.commits(leaving=leaving)
        if not commits or not self._is_reachable(consumer):
            return
        try:
            consumer.commit(offsets=[client_commit(*each) for each in commits.items()], asynchronous=True)
            self.under_way += 1
        except KafkaException as error:
            self._book(error.args[0], [])

    def make(self, consumer: Consumer, going: Collection[TopicPartition]) -> None:
        """Commit for partitions that go, blocking, inside a callback.

        Nothing may be called there that runs callbacks itself, as a look at the topics does: librdkafka's next callback
        would find no caller and abort the process. A revocation came from a broker, so one is there.
        """
        commits = self._buffer.commits(going, leaving=True)
        if not commits:
            return
        try:
            offsets = [client_commit(*each) for each in commits.items()]
            self._book(None, consumer.commit(offsets=offsets, asynchronous=False))
        except KafkaException as error:
            self._book(error.args[0], [])

    def answered(self, error: KafkaError | None, partitions: list[ClientPartition]) -> None:
        """Take the answer to a commit in the background (runs inside a poll)."""
        self.under_way = max(0, self.under_way - 1)
        self._book(error, partitions)

    def _is_reachable(self, consumer: Consumer) -> bool:
        """Whether commits make sense: without a broker each would block the leaving for a session timeout."""
        if self._errors.all_down:
            try:
                consumer.list_topics(self._topic, _PROBE)
            except KafkaException as error:
                log.warning("nothing is committed while Kafka is unavailable", reason=error.args[0].str())
                return False
            self._errors.all_down = False
        return True

    def _book(self, error: KafkaError | None, partitions: list[ClientPartition]) -> None:
        if error is not None:
            log.warning("commit failed, the next one covers it", code=error.name(), reason=error.str())
        refused = [error, *(each.error for each in partitions)]
        if any(each is not None and each.code() == KafkaError.OFFSET_METADATA_TOO_LARGE for each in refused):
            self._buffer.stop_metadata()
        good = [each for each in partitions if error is None and each.error is None]
        self._buffer.committed({ours(each): Commit(each.offset, each.metadata or "") for each in good})
