"""Topics that refuse writes: what is held back, one try at a time, and what an operator is told.

A topic refuses when this user has lost WRITE on it, when it was deleted, when its name is none, or when its options
allow not even a small record. Waiting helps only if somebody acts, and that may take hours: so a process goes on with
what it can do, and tries again slowly. A `RefusalTracker` raises each refusal as any producer does. Its callers try
again; while a topic refuses, all records for it stand in line, and the first of them is the one that tries.

    refused ──► the pause grows from half a second to ten ──► one record is sent ──► accepted: the line goes on
       ▲                                                            │
       └────────────────────── refused again ◄──────────────────────┘

Ownership: one event loop uses a tracker. Order: of records that wait, the one that came first goes first. Cancellation:
only the waiting ends. Memory: who sends holds the record; the tracker holds one sentence for each of its topics.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kallback.lifecycle import Backoff, LogThrottle, StartStop
from kallback.protocol.errors import AccessDeniedError, ConfigurationError, RecordTooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from kallback.kafka.producer import Producer
    from kallback.kafka.records import OutgoingRecord, Position
    from kallback.protocol.errors import KallbackError
    from kallback.settings import NamedLog

PAUSE: Final = Backoff(first=0.5, longest=10.0)
"""Between tries: a broker logs each refusal, and an operator who has removed the cause waits ten seconds at most."""
SMALL_RECORD_BYTES: Final = 4096
"""A topic that takes no record of this size is wrong, and not the record: a stub of a dead letter is smaller."""
_LOG_INTERVAL_S: Final = 60.0
_FORGOTTEN_AFTER_S: Final = 60.0
"""Longer than callers wait between tries. A worker whose tasks have ended has no heartbeat left that could try."""


@dataclass(slots=True)
class _Line:
    """The records of one topic that refuses them.

    Attributes:
        sentence: what an operator is to do.
        tried: when the last try ended.
        turn: of the record that tries.
        failures: tries in a row, the first ones as one.
    """

    sentence: str
    tried: float
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    failures: int = 1


class RefusedWrites(Mapping[str, "str | None"]):
    """What an operator is to do about each topic; None while it takes records, as far as known.

    Args:
        topics: of this installation, to which the process writes. A refusal of any other topic is the trouble of one
            record.
        log: gets one line for each topic and minute.
        pause: between tries.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        topics: Collection[str],
        log: NamedLog,
        pause: Backoff = PAUSE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics: Final = tuple(topics)
        self._log: Final = log
        self._throttle: Final = LogThrottle(log, monotonic, _LOG_INTERVAL_S)
        self._pause: Final = pause
        self._monotonic: Final = monotonic
        self._lines: dict[str, _Line] = {}

    def __getitem__(self, topic: str) -> str | None:
        if topic not in self._topics:
            raise KeyError(topic)
        line = self._line_of(topic)
        return None if line is None else line.sentence

    def __iter__(self) -> Iterator[str]:
        return iter(self._topics)

    def __len__(self) -> int:
        return len(self._topics)

    async def send(self, producer: Producer, record: OutgoingRecord) -> Position:
        """Send a record, in its turn if its topic refuses; raises as `Producer.send`."""
        while (line := self._line_of(record.topic)) is not None:
            async with line.turn:
                if self._lines.get(record.topic) is line:
                    await asyncio.sleep(self._pause.delay(line.failures))
                    line.failures += 1
                    return await self._try(producer, record)
        return await self._try(producer, record)

    def _line_of(self, topic: str) -> _Line | None:
        """Return the line of a topic that refuses; what nothing has met for a minute may be over, and is forgotten."""
        line = self._lines.get(topic)
        if line is None or line.turn.locked() or self._monotonic() - line.tried < _FORGOTTEN_AFTER_S:
            return line
        del self._lines[topic]
        return None

    async def _try(self, producer: Producer, record: OutgoingRecord) -> Position:
        topic = record.topic
        try:
            position = await producer.send(record)
        except (ConfigurationError, RecordTooLargeError) as error:
            if topic in self._topics and (isinstance(error, ConfigurationError) or record.size <= SMALL_RECORD_BYTES):
                self._refuse(topic, _sentence(topic, error))
            raise
        if self._lines.pop(topic, None) is not None:
            self._throttle.info(
                "Kafka accepts records of a topic again: those held back are written",
                kind=f"accepted-{topic}",
                topic=topic,
            )
        return position

    def _refuse(self, topic: str, sentence: str) -> None:
        line = self._lines.setdefault(topic, _Line(sentence, 0.0))
        line.sentence, line.tried = sentence, self._monotonic()
        self._throttle.error(
            "Kafka refuses records of a topic: they are held back and tried again",
            kind=f"refused-{topic}",
            topic=topic,
            reason=sentence,
        )


class RefusalTracker(StartStop):
    """A producer that notes which topics refuse its records.

    Args:
        producer: sends; started and stopped with this one.
        refused: is told; several producers of one event loop may share it.
    """

    def __init__(self, producer: Producer, refused: RefusedWrites) -> None:
        self._producer: Final = producer
        self._refused: Final = refused

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Flush and close."""
        await self._producer.stop()

    async def send(self, record: OutgoingRecord) -> Position:
        """Send one record and wait for its acknowledgement, after those of its topic that came before."""
        return await self._refused.send(self._producer, record)


def _sentence(topic: str, error: KallbackError) -> str:
    """Say which topic it is, what is missing, and the command for it."""
    if isinstance(error, RecordTooLargeError):
        return (
            f"the topic {topic!r} takes not even small records: {error}, such as with: "
            f"kafka-configs.sh --alter --entity-type topics --entity-name {topic} --delete-config max.message.bytes"
        )
    if not isinstance(error, AccessDeniedError):
        return f"the topic {topic!r} takes no records: {error}"
    return (
        f"the topic {topic!r} takes no records from this user, which needs WRITE on it: {error}, such as with: "
        f"kafka-acls.sh --add --allow-principal User:NAME --operation WRITE --topic {topic}"
    )
