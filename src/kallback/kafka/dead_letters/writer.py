"""Records that can never succeed, kept whole with the reason: `await publish(...)`, then the offset is done.

Key, value and headers stay byte for byte; headers `kallback-dead-*` are added. A record that was dead-lettered before
(its dead letter was replayed) gets new ones in place of the old: each name is there once and describes this time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from kallback.kafka.records import UNREADABLE, Headers, OutgoingRecord, Position, Record, Unreadable
from kallback.protocol.errors import RecordTooLargeError
from kallback.settings import named_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from kallback.kafka.producer import Producer

log: Final = named_log("kallback.kafka")

PREFIX: Final = "kallback-dead-"
STUB: Final = "kallback-dead-stub"
_LONGEST_DETAIL: Final = 1000
_LONGEST_STUB_KEY: Final = 1024


class DeadLetters:
    """Publishes dead letters of one group to one topic.

    Args:
        clock: epoch seconds.
    """

    def __init__(self, producer: Producer, topic: str, *, group: str, clock: Callable[[], float] = time.time) -> None:
        self._producer = producer
        self._topic = topic
        self._group = group
        self._clock = clock

    async def publish(self, record: Record, reason: str, detail: str) -> Position:
        """Write one dead letter and wait for its acknowledgement.

        A record that is too large even for the dead letter topic, and one that the client could not read, are replaced
        by a stub: position and reason, a header `kallback-dead-stub` with the size of the value (0 if unknown), no
        value. One record never stops a partition. A record that could not be read is always written with the reason
        `unreadable`, whatever the caller made of its empty value.

        Raises:
            MissingTopicError, AccessDeniedError, KafkaUnavailableError: as `Producer.send`; the record is not done.
        """
        if record.unreadable is not None:
            dead = self._headers(record, UNREADABLE, _unreadable_detail(record.unreadable))
            return await self._producer.send(OutgoingRecord(self._topic, None, None, (*dead, (STUB, b"0"))))
        dead = self._headers(record, reason, detail)
        kept = tuple(header for header in record.headers if not header[0].startswith(PREFIX))
        try:
            return await self._producer.send(OutgoingRecord(self._topic, record.value, record.key, kept + dead))
        except RecordTooLargeError:
            log.warning("dead letter too large, a stub takes its place", record=repr(record), topic=self._topic)
        key = record.key if record.key is None or len(record.key) <= _LONGEST_STUB_KEY else None
        size = str(len(record.value or b"")).encode()
        return await self._producer.send(OutgoingRecord(self._topic, None, key, (*dead, (STUB, size))))

    def _headers(self, record: Record, reason: str, detail: str) -> Headers:
        facts = {
            "reason": reason,
            "detail": detail[:_LONGEST_DETAIL],
            "topic": record.topic,
            "partition": str(record.partition),
            "offset": str(record.offset),
            "timestamp": str(record.timestamp_ms),
            "at": str(int(self._clock() * 1000)),
            "group": self._group,
        }
        return tuple((PREFIX + name, text.encode("utf-8", "replace")) for name, text in facts.items())


def _unreadable_detail(why: Unreadable) -> str:
    return why.detail if why.count == 1 else f"{why.detail}; it covers {why.count} offsets from this one on"
