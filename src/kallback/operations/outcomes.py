"""The outcomes topic as it is read back: what became of each result record, and who answered by hand."""

from __future__ import annotations

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
