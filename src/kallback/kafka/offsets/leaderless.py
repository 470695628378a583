"""Since when partitions of a group member have had no leader: their records can be neither read nor counted.

No look for partitions that are not read finds them: Kafka does not say where they end. One thread takes notes, any
thread may ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.kafka.group_status import STALLED_AFTER_S
from kallback.kafka.records import TopicPartition
from kallback.settings import named_log

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from kallback.kafka.offsets.topic_changes import TopicState

log: Final = named_log("kallback.kafka")


class LeaderlessPartitions:
    """Measures from the first answer that names no leader; the log says when it lasts, and when it ends.

    Args:
        monotonic: seconds that only grow.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since: Mapping[TopicPartition, float] = {}
        self._told: frozenset[TopicPartition] = frozenset()

    @property
    def lasting(self) -> frozenset[TopicPartition]:
        """Those without a leader for longer than the restart of a broker takes."""
        before = self._monotonic() - STALLED_AFTER_S
        return frozenset(each for each, since in self._since.items() if since <= before)

    def take(self, topics: Mapping[str, TopicState | None], owned: Collection[TopicPartition]) -> None:
        """Take note of what Kafka says about topics; one that is left out is unknown, and stays as it was.

        Args:
            topics: None for one that does not exist.
            owned: the partitions of this member.
        """
        found = {
            TopicPartition(topic, number) for topic, state in topics.items() if state for number in state.leaderless
        }
        found |= {each for each in self._since if each.topic not in topics}
        now = self._monotonic()
        self._since = {each: self._since.get(each, now) for each in found.intersection(owned)}
        lasting = self.lasting
        if news := lasting - self._told:
            log.error("no broker leads partitions: nothing of them is read", partitions=sorted(map(str, news)))
        if back := (self._told - lasting).intersection(owned):
            log.info("brokers lead partitions again", partitions=sorted(map(str, back)))
        self._told = lasting
