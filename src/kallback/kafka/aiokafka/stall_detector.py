"""Notices when aiokafka has stopped reading for ever: assigned, behind the end, and nothing arrives.

It happens after a broker's restart or a long stall of the event loop (aiokafka issues 1154 and 847). Pure: positions,
ends and the time come from outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kallback.kafka.records import TopicPartition


class FetchStallDetector:
    """Remembers since when each partition has stood still though there is something to read.

    Args:
        patience: seconds of standing still until a partition counts as stalled.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._unchanged: dict[TopicPartition, tuple[int, float]] = {}

    def stalled(
        self, positions: Mapping[TopicPartition, int], end_offsets: Mapping[TopicPartition, int], now: float
    ) -> frozenset[TopicPartition]:
        """Return the partitions that stand still for too long.

        Args:
            positions: where reading stands, of the partitions that are wanted now.
            end_offsets: where their logs end.
            now: monotonic seconds.
        """
        unchanged: dict[TopicPartition, tuple[int, float]] = {}
        for partition, position in positions.items():
            if position < end_offsets.get(partition, position):
                before, since = self._unchanged.get(partition, (position, now))
                unchanged[partition] = (position, since if before == position else now)
        self._unchanged = unchanged
        return frozenset(each for each, (_, since) in unchanged.items() if now - since >= self._patience)
