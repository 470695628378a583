"""The `getmany` of aiokafka that runs beside a consumer's `fetch`: at most one.

Ownership: the consumer that creates it; everything runs on its loop. Order: a reading that ends is reported once, also
one that was cancelled, after which the next may begin. Cancellation: `end` cancels the reading and waits for it with a
bound; `read_records` goes back to where it began, so that a cancelled one loses none.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from kallback.kafka.aiokafka.batches.tolerant_read import read_records
from kallback.kafka.aiokafka.membership.group_member import client_partition

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka import AIOKafkaConsumer

    from kallback.kafka.records import Record, TopicPartition

    Reading = asyncio.Task[dict[TopicPartition, list[Record]]]

_READING_MS: Final = 1000
_END_TIMEOUT_S: Final = 5.0


class CurrentReading:
    """The reading that runs now, if one does.

    Args:
        ended: called with each reading that ended.
    """

    def __init__(self, ended: Callable[[Reading], None]) -> None:
        self._ended = ended
        self._task: Reading | None = None
        self._partitions: frozenset[TopicPartition] = frozenset()

    @property
    def runs(self) -> bool:
        """Whether a reading runs."""
        return self._task is not None

    def covers(self, partitions: frozenset[TopicPartition]) -> bool:
        """Whether the reading that runs reads all of these."""
        return partitions <= self._partitions

    def begin(self, inner: AIOKafkaConsumer, partitions: frozenset[TopicPartition], limit: int) -> None:
        """Read up to `limit` records of these partitions."""
        self._partitions = partitions
        reading = read_records(
            inner, [client_partition(each) for each in partitions], timeout_ms=_READING_MS, limit=limit
        )
        self._task = asyncio.create_task(reading, name="kallback-reading")
        self._task.add_done_callback(self._over)

    async def end(self) -> None:
        """Cancel the reading that runs, and wait until it has ended."""
        task, self._task = self._task, None  # while this one ends, another may begin
        if task is not None:
            task.cancel()
            await asyncio.wait([task], timeout=_END_TIMEOUT_S)

    def _over(self, reading: Reading) -> None:
        if self._task is reading:
            self._task = None
        self._ended(reading)
