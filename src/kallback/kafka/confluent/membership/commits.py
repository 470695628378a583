"""Commits of a librdkafka consumer: none blocks the thread that polls, whatever becomes of the brokers meanwhile.

Called by the consumer thread only. Kafka's answer to a commit in the background arrives inside a poll of this thread.
So it does not arrive inside a callback, where a commit whose answer is needed there runs in a thread of its own.
"""

from __future__ import annotations

import time
from concurrent.futures import wait
from typing import TYPE_CHECKING, Final

from kallback.kafka.confluent.client import ClientErrors, log
from kallback.kafka.confluent.membership.group_member import client_commit, ours
from kallback.kafka.errors import DENIED, REBALANCING
from kallback.kafka.offsets.commit_failures import CommitFailures
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.offsets.record_buffer import RecordBuffer
from kallback.kafka.records import TopicPartition
from kallback.lifecycle import daemon_call

from confluent_kafka import Consumer, KafkaError, KafkaException  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from concurrent.futures import Future

_PROBE: Final = 0.5


class Commits:
    """Commits what the record buffer says is due.

    Args:
        on_denied: is told that the group or a topic of it may not be used any more.

    Attributes:
        on_denied: as above.
        under_way: how many commits Kafka has not answered yet.
        suspended: topics of which nothing is committed: they do not exist, and their offsets would be taken for those
            of topics that are created under the same names.
    """

    def __init__(
        self, buffer: RecordBuffer, errors: ClientErrors, topic: str, on_denied: Callable[[KafkaError], object]
    ) -> None:
        self.on_denied = on_denied
        self.under_way = 0
        self.suspended: frozenset[str] = frozenset()
        self._buffer = buffer
        self._errors = errors
        self._topic = topic
        self._apart: list[Future[list[ClientPartition]]] = []
        self._failures = CommitFailures(log, time.monotonic)

    def begin(self, consumer: Consumer, *, leaving: bool = False) -> None:
        """Commit in the background; `leaving` all partitions takes starts back."""
        commits = self._due(leaving=leaving)
        if commits and self._is_reachable(consumer):
            self._send(consumer, commits)

    def revoke(self, consumer: Consumer, going: Collection[TopicPartition]) -> None:
        """Commit inside a revocation, and take starts back; the partitions go when Kafka has answered.

        librdkafka sees to that: it joins again when no commit is under way any more, and polls and heartbeats go on
        meanwhile. Without a broker the commit fails after a session timeout, within which the group waits, too.

        Nothing may be called there that runs callbacks itself, as a look at the topics does: librdkafka's next callback
        would find no caller and abort the process.
        """
        commits = self._due(going, leaving=True)
        if commits:
            self._send(consumer, commits)

    def apart(self, consumer: Consumer) -> Future[list[ClientPartition]]:
        """Commit inside a callback that needs the answer, in a thread of its own; `take_apart` books the answer.

        Who closes the consumer waits for `wait_apart` first.
        """
        offsets = [client_commit(*each) for each in self._due().items()]

        def commit() -> list[ClientPartition]:
            return consumer.commit(offsets=offsets, asynchronous=False) or [] if offsets else []

        future = daemon_call(commit, "kallback-consumer-commit")
        self._apart = [each for each in self._apart if not each.done()] + [future]
        return future

    def take_apart(self, answered: Future[list[ClientPartition]]) -> None:
        """Take the answer to a commit apart."""
        try:
            self._book(None, answered.result())
        except KafkaException as error:
            self._book(error.args[0], [])

    def wait_apart(self) -> None:
        """Wait until no commit apart uses the consumer any more: a session timeout at most."""
        wait(self._apart)

    def answered(self, error: KafkaError | None, partitions: list[ClientPartition]) -> None:
        """Take the answer to a commit in the background (runs inside a poll)."""
        self.under_way = max(0, self.under_way - 1)
        leaving = bool(partitions) and self._buffer.assignment().isdisjoint(map(ours, partitions))
        self._book(error, partitions, leaving=leaving)

    def _send(self, consumer: Consumer, commits: dict[TopicPartition, Commit]) -> None:
        try:
            consumer.commit(offsets=[client_commit(*each) for each in commits.items()], asynchronous=True)
            self.under_way += 1
        except KafkaException as error:
            self._book(error.args[0], [])

    def _due(
        self, among: Collection[TopicPartition] | None = None, *, leaving: bool = False
    ) -> dict[TopicPartition, Commit]:
        due = self._buffer.commits(among, leaving=leaving)
        return {each: commit for each, commit in due.items() if each.topic not in self.suspended}

    def _is_reachable(self, consumer: Consumer) -> bool:
        """Whether commits make sense: without a broker each would block the leaving for a session timeout."""
        if self._errors.all_down:
            try:
                consumer.list_topics(self._topic, _PROBE)
            except KafkaException as error:
                self._failures.unavailable(error.args[0].str())
                return False
            self._errors.all_down = False
        return True

    def _book(self, error: KafkaError | None, partitions: list[ClientPartition], *, leaving: bool = False) -> None:
        if error is None:
            self._failures.taken()
        else:
            reason = f"{error.name()}: {error.str()}"
            self._failures.failed(reason, in_rebalance=error.code() in REBALANCING, leaving=leaving)
        refused = [error, *(each.error for each in partitions)]
        denied = next((each for each in refused if each is not None and each.code() in DENIED), None)
        if denied is not None:
            self.on_denied(denied)
        if any(each is not None and each.code() == KafkaError.OFFSET_METADATA_TOO_LARGE for each in refused):
            self._buffer.stop_metadata()
        good = [each for each in partitions if error is None and each.error is None]
        self._buffer.committed({ours(each): Commit(each.offset, each.metadata or "") for each in good})
