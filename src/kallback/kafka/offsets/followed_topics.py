"""What a group member does when its topics change: which partitions it restarts, and what is said in the log.

The client asks Kafka (see `TOPIC_LOOK_INTERVAL_S`) and passes the answers here. Partitions that are added need nothing
but a log line: the client looks at its topics as often, and has the group assign them. One thread at a time.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import msgspec

from kallback.kafka.offsets.history import FirstRead, PartitionStart, first_reads
from kallback.kafka.offsets.leaderless import LeaderlessPartitions
from kallback.kafka.offsets.topic_changes import TopicChange, TopicFacts, TopicObserver, TopicRecreated, TopicState
from kallback.kafka.offsets.unanswered import Unanswered
from kallback.settings import named_log

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from kallback.kafka.group_status import GroupStatus, OpenTransaction
    from kallback.kafka.offsets.read_positions import ReadPositions
    from kallback.kafka.records import TopicPartition

log: Final = named_log("kallback.kafka")

_FIRST_READS: Final = {
    FirstRead.NEW_TOPIC: (
        log.info,
        "no offset is committed for these partitions yet: reading begins with the records that are there already",
    ),
    FirstRead.NO_COMMIT: (
        log.warning,
        "the group has no committed offsets of partitions: they are read from their beginning",
    ),
    FirstRead.BEYOND_END: (
        log.warning,
        "committed offsets lie beyond the ends of partitions: these are read from their beginning",
    ),
}


class FollowedTopics:
    """The topics of one group member.

    Args:
        monotonic: seconds that only grow.
        why_silent: why Kafka does not answer, where that is known; empty: it is not.

    Attributes:
        to_restart: owned partitions of topics that were created anew, which the client has to read from their
            beginning; the client removes them.
        vanished: partitions that a topic that was created anew does not have. The member forgets them, so that nothing
            of them is committed. The group assigns anew by itself; until then the client still owns them.
        returned: those of them that exist again though the group has not assigned anew: only a new client reads them.
        to_compare: partitions whose committed offsets are asked for, and the answers.
        skipped_offsets: offsets that Kafka had deleted before they were read.
        unanswered: since when Kafka says nothing about the topics.
    """

    def __init__(
        self,
        topics: Collection[str],
        positions: ReadPositions,
        monotonic: Callable[[], float],
        why_silent: Callable[[], str] = str,
    ) -> None:
        self.to_restart: set[TopicPartition] = set()
        self.vanished: set[TopicPartition] = set()
        self.returned: set[TopicPartition] = set()
        self.to_compare: dict[TopicPartition, int | None] = {}
        self.skipped_offsets = 0
        self.unanswered = Unanswered(monotonic, why_silent)
        self._topics = topics
        self._positions = positions
        self._observer = TopicObserver()
        self._leaderless = LeaderlessPartitions(monotonic)

    def status(self, status: GroupStatus, transactions: Mapping[TopicPartition, OpenTransaction]) -> GroupStatus:
        """Add what is known of topics and of open transactions to the status of the member."""
        return msgspec.structs.replace(
            status,
            missing_topics=self.missing,
            leaderless=self._leaderless.lasting.intersection(status.partitions),
            open_transactions={each: found for each, found in transactions.items() if each in status.partitions},
            skipped_offsets=self.skipped_offsets,
            unanswered=self.unanswered.seconds,
            silence_cause=self.unanswered.cause,
        )

    @property
    def missing(self) -> frozenset[str]:
        """The topics that do not exist; from any thread. Nothing of them is committed.

        Their offsets would be taken for those of topics that are created under the same names.
        """
        return self._observer.missing

    def assigned(
        self, partitions: Iterable[TopicPartition], starts: Mapping[TopicPartition, PartitionStart] | None = None
    ) -> None:
        """Compare what the group has committed with where reading begins; `starts` say it if it is known already."""
        self.to_compare = dict.fromkeys(partitions)
        self.revoked(self.to_compare)
        for partition, start in (starts or {}).items():
            if start.commit is not None:
                self.to_compare[partition] = start.commit.position

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Take note that the client does not own partitions any more."""
        gone = list(partitions)
        self.vanished.difference_update(gone)
        self.returned.difference_update(gone)

    def report_undone(self, commits: Mapping[TopicPartition, int], found: Mapping[TopicPartition, int | None]) -> None:
        """Say that what the group had committed is gone or was set back, to what is found, and what follows."""
        for partition, position in commits.items():
            log.error(
                "the group's committed offset is gone or was set back: it is committed again",
                partition=str(partition),
                committed=position,
                found=found.get(partition),
            )

    def not_found(self, topic: str | None, partition: int | None) -> None:
        """Take note that the client does not find a topic, or any of them.

        Of one partition it says nothing: a topic that was created anew may have fewer. Kafka is to be asked then.
        """
        if partition is None or partition < 0:
            self._adopt(self._observer.observe(dict.fromkeys([topic] if topic else self._topics)))

    def take_before_leaving(self, facts: TopicFacts, going: Collection[TopicPartition]) -> None:
        """Take note of what Kafka says before the positions of partitions that are taken away are committed.

        A topic that is created anew with another number of partitions is a reason of the group to assign anew. The
        next owner has to read it from its beginning, which the positions in the former topic would hide.
        """
        self.take(facts)
        for partition in self.to_restart.intersection(going):
            self._positions.restart(partition)
        self.to_restart.difference_update(going)

    def take(self, facts: TopicFacts) -> None:
        """Take note of what Kafka says, or that it says nothing."""
        if facts.topics or facts.denied:
            self.unanswered.answered()
        else:
            self.unanswered.failed()
        self._find_returned(facts.topics)
        self._adopt(self._observer.observe(facts.topics))
        self._leaderless.take(facts.topics, self._positions.next)
        self._report_truncated(facts)
        self._compare_beginnings(facts)
        for partition, gap in self._positions.deleted.found(facts.begins).items():
            self.skipped_offsets += gap.end - gap.first
            log.error(
                "Kafka deleted records before they were read: reading goes on behind them",
                partition=str(partition),
                offsets=f"{gap.first} to {gap.end - 1}",
                skipped=gap.end - gap.first,
            )

    def _adopt(self, changes: Iterable[TopicChange]) -> None:
        positions = self._positions
        for change in changes:
            log.warning(change.event, **dataclasses.asdict(change))
            if isinstance(change, TopicRecreated):
                owned = {each for each in positions.next if each.topic == change.topic}
                vanished = {each for each in owned if each.partition >= change.partitions}
                self.vanished |= vanished
                self.to_restart |= owned - vanished - positions.went_back  # those are in the new topic already
                positions.went_back -= owned
        self.to_restart.intersection_update(positions.next)

    def _find_returned(self, topics: Mapping[str, TopicState | None]) -> None:
        for partition in tuple(self.vanished):
            state = topics.get(partition.topic)
            if state is not None and partition.partition < state.partitions:
                self.vanished.discard(partition)
                self.returned.add(partition)

    def _report_truncated(self, facts: TopicFacts) -> None:
        known = [each for each in self._positions.went_back if facts.topics.get(each.topic) is not None]
        for partition in known:
            log.warning("offsets went back: the log was truncated, or is another topic's", partition=str(partition))
        self._positions.went_back.difference_update(known)

    def _compare_beginnings(self, facts: TopicFacts) -> None:
        """Note where the reading of an assignment began behind what the group has committed."""
        for partition in [each for each, at in self.to_compare.items() if at is None and each in facts.committed]:
            self.to_compare[partition] = facts.committed[partition]  # a later answer may be our own commit
            if self.to_compare[partition] is None:
                del self.to_compare[partition]  # the group has committed nothing
        for partition, committed in list(self.to_compare.items()):
            if committed is not None and partition in self._positions.began:
                self._positions.deleted.skipped(partition, committed, self._positions.began.pop(partition))
                del self.to_compare[partition]


def report_first_reads(group: str, starts: Mapping[TopicPartition, PartitionStart]) -> None:
    """Say which partitions are read from their beginning, for lack of a valid commit, and how much that is.

    A warning, unless nothing can have been skipped or be done twice.
    """
    for reason, offsets in first_reads(starts).items():
        say, event = _FIRST_READS[reason]
        say(event, group=group, partitions=list(map(str, offsets)), records=sum(offsets.values()))
