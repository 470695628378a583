"""What the consumer groups that read the topic show while the check waits: evidence in place of seconds. Pure.

A group without members is not a running worker. A group that commits nothing shows nothing, and seconds decide.
"""

from __future__ import annotations

from collections.abc import Sequence

from kallback.kafka import Position, TopicGroup, TopicPartition


def running_groups(groups: Sequence[TopicGroup] | None) -> list[str]:
    """The names of the groups with workers."""
    return sorted(group.name for group in groups or () if group.members)


def backlog_of(groups: Sequence[TopicGroup] | None) -> int | None:
    """Records that running workers have not done; of several groups that of the last one. None: nothing is known."""
    lags = [group.lag for group in groups or () if group.members]
    return max(lags) if lags else None


def uncommitted_of(groups: Sequence[TopicGroup] | None) -> int:
    """Records that the worker has not committed; 0: none, or it is not known which group is its own."""
    lags = [group.lag for group in groups or () if group.members]
    return lags[0] if len(lags) == 1 else 0


def is_committed(groups: Sequence[TopicGroup] | None, at: Position | None) -> bool:
    """Whether a running worker has committed a record."""
    if at is None:
        return False
    place = TopicPartition(at.topic, at.partition)
    return any(group.members and group.committed.get(place, 0) > at.offset for group in groups or ())


def position_before(groups: Sequence[TopicGroup] | None, at: Position | None) -> int | None:
    """The furthest position of a running worker in the partition of a record; None: unknown, or past the record."""
    if at is None:
        return None
    place = TopicPartition(at.topic, at.partition)
    positions = [group.committed[place] for group in groups or () if group.members and place in group.committed]
    if not positions or max(positions) > at.offset:
        return None
    return max(positions)
