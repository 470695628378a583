"""The outcomes topic as it is read back: what became of each result record, and who answered by hand."""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator
from typing import Final

from kallback.kafka import TopicReader
from kallback.protocol import OutcomeRecord, read_outcome

_LOOK_S: Final = 1.0


async def follow_outcomes(reader: TopicReader, *, to_the_end: bool) -> AsyncGenerator[list[OutcomeRecord]]:
    """Return outcomes as they are written; entries that are none are left out. The end of the caller stops the reader.

    Args:
        reader: of the outcomes topic; not started.
        to_the_end: stop at the end of what is there now; otherwise wait for more, without an end.

    Raises:
        MissingTopicError, AccessDeniedError, KafkaUnavailableError: of Kafka.
    """
    async with reader:
        while not (to_the_end and reader.caught_up.is_set()):
            records = await reader.fetch(_LOOK_S)
            found = [read_outcome(record.value) for record in records]
            yield [outcome for outcome in found if outcome is not None]


class Newest:
    """The newest outcomes of many, in bounds.

    Args:
        limit: how many are kept.

    Attributes:
        left_out: how many older ones were not kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit: Final = limit
        self._heap: Final = list[tuple[int, int, OutcomeRecord]]()
        self._count = 0
        self.left_out = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, outcome: OutcomeRecord) -> None:
        """Keep an outcome, unless there are enough newer ones. Of two of the same time, the later one is newer."""
        entry = outcome.at_ms, self._count, outcome
        self._count += 1
        if len(self._heap) < self._limit:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)
            self.left_out += 1

    def outcomes(self) -> list[OutcomeRecord]:
        """The newest first."""
        return [outcome for _, _, outcome in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]
