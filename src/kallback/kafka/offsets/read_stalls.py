"""Detects partitions that are owned and not read although they have unread records. Pure.

Clients stop reading a partition for ever in several ways: after a broker restart or a long stall of the event loop
(aiokafka issues 1154 and 847), or when a pause outlives an assignment (librdkafka). Positions, ends and the time come
from outside; the caller names only partitions that should be read now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kallback.kafka.records import TopicPartition


class ReadStallDetector:
    """Remembers since when the read position of each partition has not changed though its end is further on.

    Args:
        patience: seconds without change until a partition counts as stalled.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._unchanged: dict[TopicPartition, tuple[int, float]] = {}

    def stalled(
        self, positions: Mapping[TopicPartition, int], end_offsets: Mapping[TopicPartition, int], now: float
    ) -> frozenset[TopicPartition]:
        """Return the partitions that are stalled.

        Args:
            positions: the next offset to read, of the partitions that should be read now.
            end_offsets: where their logs end, as far as known.
            now: monotonic seconds.
        """
        unchanged: dict[TopicPartition, tuple[int, float]] = {}
        for partition, position in positions.items():
            if position < end_offsets.get(partition, position):
                before, since = self._unchanged.get(partition, (position, now))
                unchanged[partition] = (position, since if before == position else now)
        self._unchanged = unchanged
        return frozenset(each for each, (_, since) in unchanged.items() if now - since >= self._patience)
