"""The status of a group member, for metrics and probes: a snapshot that costs nothing until it is requested."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal

import msgspec

from kallback.kafka.records import TopicPartition

STALLED_AFTER_S: Final = 30.0
"""Seconds without reading a partition that has unread records; a broker restart or a rebalance takes less."""
UNANSWERED_AFTER_S: Final = 10.0
"""Seconds without an answer of Kafka after which it counts as unavailable: two questions, one after the other."""
CHECK_BROKERS: Final = "check that the brokers of KALLBACK_KAFKA_BOOTSTRAP_SERVERS run and can be reached"


class UnknownLag(StrEnum):
    """The lag of a partition whose position or end is not known (yet). Not 0, and not absent."""

    UNKNOWN = "unknown"


UNKNOWN_LAG: Final = UnknownLag.UNKNOWN
Lag = int | Literal[UnknownLag.UNKNOWN]
"""Offsets between a commit position and the end."""


def lag_value(lag: Lag) -> float:
    """Return a lag for a gauge: an unknown one is NaN, so that its series does not disappear."""
    return float("nan") if lag is UNKNOWN_LAG else float(lag)


class PartitionStatus(msgspec.Struct, frozen=True):
    """One partition that the member owns.

    Attributes:
        position: commit position: the lowest offset that is not done; where everything is done, the end; None before
            anything is known.
        end: the offset after the last committed record, as last heard (about a second ago while records flow, a few
            seconds while the partition is paused or idle); None before it was heard.
        window_used: records between the commit position and the newest one handed out.
        window: the maximum of `window_used`.
        finished: records above the commit position that are done.
    """

    position: int | None
    end: int | None
    window_used: int
    window: int
    finished: int = 0

    @property
    def unfinished(self) -> Lag:
        """Offsets up to the end that are not done, begun or not: the lag without what is done above one long task."""
        lag = self.lag
        return UNKNOWN_LAG if lag is UNKNOWN_LAG else max(0, lag - self.finished)

    @property
    def lag(self) -> Lag:
        """Offsets between the commit position and the end.

        Transaction markers and compacted records count as offsets, as they do in Kafka's own tools.
        """
        if self.position is None or self.end is None:
            return UNKNOWN_LAG
        return max(0, self.end - self.position)


class OpenTransaction(msgspec.Struct, frozen=True):
    """A transaction that holds back the records of a partition.

    Attributes:
        last_stable_offset: where it began; nothing from there on is read.
        offsets_behind: offsets from there to the end of the log.
        seconds: for which the last stable offset has not changed.
    """

    last_stable_offset: int
    offsets_behind: int
    seconds: float


class GroupStatus(msgspec.Struct, frozen=True):
    """One member of a group.

    Attributes:
        joined: the group has assigned partitions to this member, perhaps none, and has not taken all of them back.
        rebalances: how often the group has assigned partitions.
        last_poll: when the client was last seen to make progress, as `time.monotonic()`.
        partitions: what the member owns now.
        stalled: those of them that have unread records, of which the caller could be handed more, and of which none
            was read for `STALLED_AFTER_S`. They are a defect: nothing of them is delivered.
        missing_topics: those that the member should read and that do not exist now.
        leaderless: owned partitions that no broker has led for `STALLED_AFTER_S`: whether they have records is unknown.
        open_transactions: by the partition whose records they hold back, for 10 s at least.
        skipped_offsets: offsets that Kafka had deleted before they were read, since the member started.
        unanswered: seconds for which Kafka has answered none of the member's questions; 0 while it answers.
        silence_cause: why it does not answer, where that is known: there is no access token. Empty: it is not known.
    """

    joined: bool
    rebalances: int
    last_poll: float
    partitions: Mapping[TopicPartition, PartitionStatus]
    stalled: frozenset[TopicPartition] = frozenset()
    missing_topics: frozenset[str] = frozenset()
    leaderless: frozenset[TopicPartition] = frozenset()
    open_transactions: Mapping[TopicPartition, OpenTransaction] = msgspec.field(
        default_factory=dict["TopicPartition", "OpenTransaction"]
    )
    skipped_offsets: int = 0
    unanswered: float = 0.0
    silence_cause: str = ""

    @property
    def lag(self) -> Lag:
        """The sum over the partitions; unknown while that of any is."""
        total = 0
        for each in self.partitions.values():
            lag = each.lag
            if lag is UNKNOWN_LAG:
                return UNKNOWN_LAG
            total += lag
        return total

    def open_transaction_seconds(self, partition: TopicPartition) -> float:
        """Return for how long a transaction holds back the records of a partition; 0 if none does."""
        found = self.open_transactions.get(partition)
        return 0.0 if found is None else found.seconds

    @property
    def unknown_lags(self) -> int:
        """The number of partitions whose lag is unknown."""
        return sum(each.lag is UNKNOWN_LAG for each in self.partitions.values())

    @property
    def is_silent(self) -> bool:
        """Whether Kafka has not answered for so long that it counts as unavailable."""
        return self.unanswered >= UNANSWERED_AFTER_S

    def stall_reason(self) -> str | None:
        """Return why records are not read, for a probe: Kafka, missing topics, leaders, partitions; None for none."""
        if self.is_silent:
            return f"Kafka has not answered for {self.unanswered:.0f} s: {self.silence_cause or CHECK_BROKERS}"
        if self.missing_topics:
            names = " ".join(sorted(self.missing_topics))
            return f"a topic does not exist any more; create it with: kallback topics create {names}"
        if self.leaderless:
            names = ", ".join(str(each) for each in sorted(self.leaderless))
            return f"no broker has led {names} for {STALLED_AFTER_S:.0f} s: start one that holds a replica"
        if self.stalled:
            names = ", ".join(str(each) for each in sorted(self.stalled))
            return f"not read for {STALLED_AFTER_S:.0f} s though there are records: {names}"
        for partition, found in sorted(self.open_transactions.items()):
            if found.seconds >= STALLED_AFTER_S:
                what = f"{found.offsets_behind} offsets of {partition} from {found.last_stable_offset} on"
                sentence = f"an open transaction holds back {what} for {found.seconds:.0f} s"
                return f"{sentence}: kallback doctor names its producer"
        return None


NO_GROUP: Final = GroupStatus(joined=False, rebalances=0, last_poll=0.0, partitions={})
"""Of a process that has no consumer now."""
