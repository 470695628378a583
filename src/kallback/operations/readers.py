"""Who reads the topics of tasks, from Kafka's description of consumer groups. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kallback.kafka import GroupMember, TopicGroup, TopicPartition
from kallback.protocol import ConfigurationError
from kallback.settings import Topics

_RESULTS: Final = "results"
HIDDEN_GROUPS: Final = (
    "this user sees only some consumer groups, and none of those reads here, so it is not known whether others do: let "
    "an administrator add DESCRIBE on all groups (an ACL of type GROUP)"
)


@dataclass(frozen=True, slots=True)
class TopicReaders:
    """The readers of one topic in one group.

    Attributes:
        group: its name; None if no group has ever read the topic.
        member: one that reads it; None for the partitions that no member reads.
        partitions: their numbers.
        lag: records of these partitions behind what the group has committed.
    """

    topic: str
    group: str | None
    member: GroupMember | None
    partitions: tuple[int, ...]
    lag: int


def readers_of(topic: str, groups: Sequence[TopicGroup]) -> Iterator[TopicReaders]:
    """Each member of each group that reads a topic, then the partitions that no member reads.

    A group without members, which only has committed positions, is one row without a member.

    Args:
        topic: its name.
        groups: that read it, or have read it; they may read other topics, too.
    """
    for group in groups:
        rest = {each for each in group.lags if each.topic == topic}
        for member in sorted(group.readers, key=lambda each: (each.host, each.client, each.id)):
            own = {each for each in member.partitions if each.topic == topic}
            rest -= own
            if own:
                yield _row(topic, group, member, own)
        if rest and (_has_read(topic, group)):
            yield _row(topic, group, None, rest)
    if not any(_has_read(topic, group) for group in groups):
        yield TopicReaders(topic, None, None, (), 0)


def task_topics(existing: Iterable[str], own: Topics) -> list[str]:
    """The topics that may be those of task types: all but Kafka's internal ones and kallback's own, of any environment.

    Args:
        existing: all topics of Kafka.
        own: of the environment. Those of another one are known by its prefix, which its results, control and
            dead-letter topics share; a topic with such a name alone may be that of a task type.
    """
    names = {name for name in existing if not name.startswith("__")}
    prefixes = {name.removesuffix(_RESULTS) for name in names if name.endswith(_RESULTS)}
    environments = [each for prefix in prefixes if (each := _of_prefix(prefix)) is not None]
    environments = [each for each in environments if {each.results, each.control, each.dead_letters} <= names]
    all_own = [own, Topics(), *environments]
    reserved = {name for each in all_own for name in each.all()}
    left = tuple(each.wire_check for each in all_own)  # by `kallback wire check`, for a day
    return sorted(name for name in names - reserved if not name.startswith(left))


def _of_prefix(prefix: str) -> Topics | None:
    """The topics of an environment; None where their names would be too long, so that there is none."""
    try:
        return Topics(prefix)
    except ConfigurationError:
        return None


def _has_read(topic: str, group: TopicGroup) -> bool:
    partitions = {each for member in group.readers for each in member.partitions}
    return any(each.topic == topic for each in (*partitions, *group.committed))


def _row(topic: str, group: TopicGroup, member: GroupMember | None, partitions: set[TopicPartition]) -> TopicReaders:
    lag = sum(group.lags[each] for each in partitions)
    return TopicReaders(topic, group.name, member, tuple(sorted(each.partition for each in partitions)), lag)
