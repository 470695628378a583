"""How a group member stands, for metrics and probes: a snapshot that costs nothing until somebody asks for it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kallback.kafka.records import TopicPartition


class PartitionStatus(msgspec.Struct, frozen=True):
    """One partition that the member owns.

    Attributes:
        position: commit position: the lowest offset that is not done; where everything is done, the end; None before
            anything is known.
        end: the offset after the last committed record, as last heard (about a second ago while records flow, a few
            seconds while the partition is paused); None before it was heard.
        window_used: records between the commit position and the newest one handed out.
        window: how many of these there may be.
    """

    position: int | None
    end: int | None
    window_used: int
    window: int

    @property
    def lag(self) -> int | None:
        """Offsets between the commit position and the end; None while either is unknown.

        Transaction markers and compacted records count as offsets, as they do in Kafka's own tools.
        """
        if self.position is None or self.end is None:
            return None
        return max(0, self.end - self.position)


class GroupStatus(msgspec.Struct, frozen=True):
    """One member of a group.

    Attributes:
        joined: the group has given this member its share, which may be empty, and has not taken it all back.
        rebalances: how often a share was given.
        last_poll: when the client was last seen to make progress, as `time.monotonic()`.
        partitions: what the member owns now.
    """

    joined: bool
    rebalances: int
    last_poll: float
    partitions: Mapping[TopicPartition, PartitionStatus]

    @property
    def lag(self) -> int | None:
        """Of all these partitions; None while that of any is unknown."""
        lags = [each.lag for each in self.partitions.values()]
        known = [lag for lag in lags if lag is not None]
        return sum(known) if len(known) == len(lags) else None
