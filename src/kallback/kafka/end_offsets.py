"""Where topics end, asked of Kafka: the seam. Unlike the ends in `GroupStatus`, these are of this very moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kallback.kafka.records import TopicPartition


class EndOffsets(Protocol):
    """Asks where partitions end."""

    async def of(self, topics: Sequence[str], *, uncommitted: bool = False) -> dict[TopicPartition, int]:
        """The offset after the last record of each partition of these topics.

        Args:
            topics: their names.
            uncommitted: records of transactions that are open count, and those behind them; otherwise the end lies
                before the first of them.

        Raises:
            KafkaUnavailableError: no answer, or not for all partitions.
            MissingTopicError, AccessDeniedError: looking is in vain.
        """
        ...

    async def stop(self) -> None:
        """Close the connection; stopping twice is fine."""
        ...
