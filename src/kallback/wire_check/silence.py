"""Why a worker does not answer: what its consumer group shows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from kallback.kafka import Position, TopicGroup, TopicPartition


def why_silent(groups: Sequence[TopicGroup] | None, at: Position | None, reply_topic: str, ended: str) -> str:
    """Say what is known of a worker that has not answered.

    Args:
        groups: that read the topic of tasks; None: unknown.
        at: where the task is.
        reply_topic: which the task names.
        ended: how its process ended; empty if it runs or is not known.
    """
    if ended:
        return ended
    if groups is None or at is None:
        return "whether a consumer group reads the topic is not known here"
    members = [group for group in groups if group.members]
    if not members:
        return f"no consumer group reads {at.topic}: start the worker, or give its command with --command"
    return "; ".join(_position(group, at, reply_topic) for group in members)


def _position(group: TopicGroup, at: Position, reply_topic: str) -> str:
    committed = group.committed.get(TopicPartition(at.topic, at.partition))
    who = f"group {group.name} ({group.members} member{'s' * (group.members > 1)})"
    if committed is not None and committed > at.offset:
        return (
            f"{who} is done with the record, so the worker skipped it or answered elsewhere: does it allow the reply "
            f"topic {reply_topic}, does it know the task type, does it need headers of its framework (--convention)?"
        )
    return f"{who} reads {at.topic} and has not committed the record at {at}: look at the worker's log"
