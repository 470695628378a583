"""Detects partitions that are owned and not read although they have unread records. Pure.

Clients stop reading a partition for ever in several ways: after a broker restart or a long stall of the event loop
(aiokafka issues 1154 and 847), or when a pause outlives an assignment (librdkafka). Positions, ends and the time come
from outside; the caller names only partitions that should be read now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kallback.kafka.records import TopicPartition

READER_LOOK_INTERVAL_S: Final = 5.0
READER_STALLED_AFTER_S: Final = 20.0
"""With the interval of looks and their time, a reader that has stopped is replaced within 30 s."""


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


class ReaderStalls:
    """Notices that a groupless reader has stopped reading.

    Time counts only while somebody waits for records: a caller that works on what it was given stalls nothing.
    """

    def __init__(self) -> None:
        self._detector = ReadStallDetector(READER_STALLED_AFTER_S)
        self._next_look = READER_LOOK_INTERVAL_S

    def is_due(self, waited: float) -> bool:
        """Whether it is time for a look.

        Args:
            waited: seconds that callers have waited for records in all.
        """
        if waited < self._next_look:
            return False
        self._next_look = waited + READER_LOOK_INTERVAL_S
        return True

    def stalled(
        self, positions: Mapping[TopicPartition, int], end_offsets: Mapping[TopicPartition, int], waited: float
    ) -> frozenset[TopicPartition]:
        """Return the partitions that are not read although they have records.

        Args:
            positions: the next offset to read, of each partition.
            end_offsets: where their logs end, as far as known.
            waited: as in `is_due`.
        """
        return self._detector.stalled(positions, end_offsets, waited)
