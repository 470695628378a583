"""Records that can never succeed, kept whole with the reason: `await publish(...)`, then the offset is done.

Key, value and headers stay byte for byte; headers `kallback-dead-*` are added. A record that was dead-lettered before
(its dead letter was replayed) gets new ones in place of the old: each name is there once and describes this time.

After them the same facts follow under the names that Spring's `DeadLetterPublishingRecoverer` gives them
(`KafkaHeaders.DLT_*`, numbers as big-endian integers), because tools for Kafka look for these. Tools take the last
header of a name, so these count if the record was a dead letter of Spring before, whose headers are kept.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Final

from kallback.kafka.dead_letters.summaries import SUMMARY, SummaryBuilder
from kallback.kafka.records import Headers, OutgoingRecord, Position, Record, Unreadable, size_of
from kallback.protocol.errors import RecordTooLargeError
from kallback.settings import named_log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kallback.kafka.producer import Producer

log: Final = named_log("kallback.kafka")

PREFIX: Final = "kallback-dead-"
STUB: Final = "kallback-dead-stub"
SPRING_PREFIX: Final = "kafka_dlt-"
_ADDED: Final = (PREFIX, SPRING_PREFIX)
_LONGEST_DETAIL: Final = 1000
_LONGEST_STUB_KEY: Final = 1024
MAX_SAMPLE_BYTES: Final = 16_384
"""Bytes of a record that a summary contains as its sample; of a larger one it contains the position."""


def original_headers(headers: Headers) -> Headers:
    """Return the headers without those that dead-lettering added.

    Spring's names count as added only after ours: before them they were the record's own.
    """
    first = next((at for at, (name, _) in enumerate(headers) if name.startswith(PREFIX)), len(headers))
    return headers[:first] + tuple([header for header in headers[first:] if not header[0].startswith(_ADDED)])


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
        of its own, whatever the caller made of its empty value.

        Raises:
            MissingTopicError, AccessDeniedError, KafkaUnavailableError: as `Producer.send`; the record is not done.
        """
        if record.unreadable is not None:
            dead = self._headers(record, record.unreadable.reason, _unreadable_detail(record.unreadable))
            return await self._producer.send(OutgoingRecord(self._topic, None, None, (*dead, (STUB, b"0"))))
        return await self._send(record, self._headers(record, reason, detail))

    async def publish_summary(self, summary: SummaryBuilder, reason: str, detail: str, *, sample: bool) -> Position:
        """Write one dead letter for all records of a summary, and wait for its acknowledgement.

        Args:
            summary: what was counted; its ranges also span what lies between where the topic takes no more.
            reason: of all of them.
            detail: of the first of them.
            sample: include the first record, unless it is larger than `MAX_SAMPLE_BYTES` or unreadable, or the topic
                does not take it.

        Raises:
            MissingTopicError, AccessDeniedError, KafkaUnavailableError: as `publish`; no record is done.
        """
        first = summary.sample
        own = self._headers(first, reason, detail)
        dead = (*own, (SUMMARY, summary.build().encode()))
        try:
            if not sample or first.unreadable is not None or size_of(first) > MAX_SAMPLE_BYTES:
                return await self._producer.send(self._stub(first, dead))
            return await self._send(first, dead)
        except RecordTooLargeError:
            coarse = (*own, (SUMMARY, summary.build(coarse=True).encode()))
        return await self._producer.send(self._stub(first, coarse))

    async def _send(self, record: Record, dead: Headers) -> Position:
        kept = original_headers(record.headers)
        try:
            return await self._producer.send(OutgoingRecord(self._topic, record.value, record.key, kept + dead))
        except RecordTooLargeError:
            log.warning("dead letter too large, a stub takes its place", record=repr(record), topic=self._topic)
        return await self._producer.send(self._stub(record, dead))

    def _stub(self, record: Record, dead: Headers) -> OutgoingRecord:
        key = record.key if record.key is None or len(record.key) <= _LONGEST_STUB_KEY else None
        size = str(len(record.value or b"")).encode()
        return OutgoingRecord(self._topic, None, key, (*dead, (STUB, size)))

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
        own = tuple((PREFIX + name, text.encode("utf-8", "replace")) for name, text in facts.items())
        return own + _spring_headers(record, facts)


def _spring_headers(record: Record, facts: Mapping[str, str]) -> Headers:
    texts = {
        "original-topic": facts["topic"],
        "original-consumer-group": facts["group"],
        "exception-fqcn": facts["reason"],
        "exception-message": facts["detail"],
    }
    return (
        *((SPRING_PREFIX + name, text.encode("utf-8", "replace")) for name, text in texts.items()),
        (SPRING_PREFIX + "original-partition", struct.pack(">i", record.partition)),
        (SPRING_PREFIX + "original-offset", struct.pack(">q", record.offset)),
        (SPRING_PREFIX + "original-timestamp", struct.pack(">q", record.timestamp_ms)),
    )


def _unreadable_detail(why: Unreadable) -> str:
    return why.detail if why.count == 1 else f"{why.detail}; it covers {why.count} offsets from this one on"
