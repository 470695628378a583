"""Ends a worker that may no longer write to one of its installation's topics.

Results, progress and dead letters are sent again for as long as a worker runs, because Kafka comes back. A permission
that was withdrawn is an operator's decision: the worker ends with the sentence that names it, and Kafka redelivers what
was not sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kallback.kafka import OutgoingRecord, Position, Producer
from kallback.lifecycle import StartStop
from kallback.protocol.errors import AccessDeniedError


class DenialReporter(StartStop):
    """A producer that reports refused writes.

    Args:
        producer: sends; started and stopped with this one.
        own_topics: topics of this installation. A refusal of any other topic is the trouble of one task.
        on_denied: is called with the error, which is raised as well.
    """

    def __init__(
        self, producer: Producer, own_topics: frozenset[str], on_denied: Callable[[AccessDeniedError], object]
    ) -> None:
        self._producer: Final = producer
        self._own_topics: Final = own_topics
        self._on_denied: Final = on_denied

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Flush and close."""
        await self._producer.stop()

    async def send(self, record: OutgoingRecord) -> Position:
        """Send one record and wait for its acknowledgement."""
        try:
            return await self._producer.send(record)
        except AccessDeniedError as error:
            if record.topic in self._own_topics:
                self._on_denied(error)
            raise
