"""The status of a group member, for metrics and probes: a snapshot that costs nothing until it is requested."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal

import msgspec

from kallback.kafka.records import TopicPartition

STALLED_AFTER_S: Final = 30.0
"""Seconds without reading a partition that has unread records; a broker restart or a rebalance takes less."""


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
    """

    position: int | None
    end: int | None
    window_used: int
    window: int

    @property
    def lag(self) -> Lag:
        """Offsets between the commit position and the end.

        Transaction markers and compacted records count as offsets, as they do in Kafka's own tools.
        """
        if self.position is None or self.end is None:
            return UNKNOWN_LAG
        return max(0, self.end - self.position)


class GroupStatus(msgspec.Struct, frozen=True):
    """One member of a group.

    Attributes:
        joined: the group has assigned partitions to this member, perhaps none, and has not taken all of them back.
        rebalances: how often the group has assigned partitions.
        last_poll: when the client was last seen to make progress, as `time.monotonic()`.
        partitions: what the member owns now.
        stalled: those of them that have unread records, of which the caller could be handed more, and of which none
            was read for `STALLED_AFTER_S`. They are a defect: nothing of them is delivered.
    """

    joined: bool
    rebalances: int
    last_poll: float
    partitions: Mapping[TopicPartition, PartitionStatus]
    stalled: frozenset[TopicPartition] = frozenset()

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

    @property
    def unknown_lags(self) -> int:
        """The number of partitions whose lag is unknown."""
        return sum(each.lag is UNKNOWN_LAG for each in self.partitions.values())

    def stall_reason(self) -> str | None:
        """Return a sentence that names the stalled partitions, for a probe; None if there are none."""
        if not self.stalled:
            return None
        names = ", ".join(str(each) for each in sorted(self.stalled))
        return f"not read for {STALLED_AFTER_S:.0f} s though there are records: {names}"
