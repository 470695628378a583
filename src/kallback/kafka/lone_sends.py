"""Sends records again, each in a batch of its own, that a broker refused as too large with others in one batch.

`max.message.bytes` of a topic bounds the batches of a client, not its records, and a client does not know it: a topic
that takes less than a client's batches would refuse a burst of small records, each of which it takes alone.

Order: such a record may be overtaken by those that were sent after it. Threads: several event loops may send.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from kallback.lifecycle import LogThrottle
from kallback.protocol.errors import KafkaUnavailableError
from kallback.settings import named_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from kallback.kafka.producer import Producer
    from kallback.kafka.records import OutgoingRecord, Position

log: Final = named_log("kallback.kafka")


class LoneSends:
    """A producer that is made when the first record needs it.

    Args:
        make: returns a producer that puts no two records into a batch, and connects at its first `send`.
    """

    def __init__(self, make: Callable[[], Producer]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._stopped = False
        self._log = LogThrottle(log)

    async def send(self, record: OutgoingRecord) -> Position:
        """Send a record and wait for its acknowledgement; raises as `Producer.send`."""
        self._log.warning(
            "Kafka refused a batch as too large, its records are sent one by one: raise max.message.bytes of the topic",
            kind=f"batch-{record.topic}",
            topic=record.topic,
        )
        return await self._current().send(record)

    async def stop(self) -> None:
        """Stop the producer, if there is one; stopping twice is fine."""
        with self._lock:
            self._stopped = True
            producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    def _current(self) -> Producer:
        with self._lock:
            if self._stopped:
                raise KafkaUnavailableError("this producer is stopped; make a new one")
            if self._producer is None:
                self._producer = self._make()
            return self._producer
