"""Records that nobody should have sent to the results topic, and what must become of each of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demo_stage import Stage

from kallback.kafka import AiokafkaProducer, OutgoingRecord, Record
from kallback.protocol import Token, UnverifiedError, completed_headers, read_claims, read_result, task_id_of
from kallback.settings import KeySettings

HOUR_MS = 3_600_000
GARBAGE = b"\x00\xffnot even text\xfe"

Place = tuple[int, int]
"""Partition and offset in the results topic: which record."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What must become of a record that is not an ordinary result.

    Attributes:
        outcome: as the outcomes topic must say.
        reason: as its dead letter must say; empty: it leaves none.
        replayed: whether its dead letter was sent again.
    """

    outcome: str
    reason: str = ""
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Rubbish:
    """A record that nobody should have sent."""

    what: str
    record: OutgoingRecord
    fate: Fate


async def litter(stage: Stage) -> dict[Place, Rubbish]:
    """Send the rubbish to the results topic; return what lies where."""
    topics, keys = stage.settings.topics, stage.settings.keys
    last = _last_delivered(await stage.outcomes())
    results = {place_of(record): record for record in await stage.read(topics.results)}
    delivered = results[last]
    rubbish = [_copy(delivered), _late(delivered, keys), _forged(delivered), *_poison(results.values())]
    lying: dict[Place, Rubbish] = {}
    async with AiokafkaProducer(stage.settings.kafka) as producer:
        for piece in rubbish:
            position = await producer.send(piece.record)
            lying[position.partition, position.offset] = piece
    return lying


def place_of(record: Record) -> Place:
    """Where it lies."""
    return record.partition, record.offset


def key_id_of(record: Record) -> str:
    """Which key a result's token says that it is signed with; empty if there is no token."""
    try:
        return read_claims(_token_of(record)).key_id
    except UnverifiedError:
        return ""


def _copy(result: Record) -> Rubbish:
    """Key, value and headers as they are: only its position is new."""
    copy = OutgoingRecord(result.topic, result.value, result.key, result.headers)
    return Rubbish("a copy of an answer that was delivered", copy, Fate("duplicate"))


def _late(result: Record, keys: KeySettings) -> Rubbish:
    """Only who has the key can make a late result on purpose; the demo has it."""
    real = read_claims(_token_of(result)).token
    deadline_ms = int(time.time() * 1000) - HOUR_MS
    old = Token(real.task_type, task_id_of(os.urandom(12)), real.attempt, real.awakeable_id, deadline_ms)
    headers = completed_headers(keys.require().sign(old, keys.audience))
    record = OutgoingRecord(result.topic, result.value, old.task_id.encode(), headers)
    return Rubbish("an answer that comes an hour after its deadline", record, Fate("late", "late"))


def _forged(result: Record) -> Rubbish:
    token = _token_of(result)
    changed = token[:-1] + ("B" if token.endswith("A") else "A")
    record = OutgoingRecord(result.topic, b'{"minutes": 0, "shelf": "mine"}', result.key, completed_headers(changed))
    return Rubbish("a forged answer, its token one character off", record, Fate("unverified", "wrong-tag"))


def _poison(results: Iterable[Record]) -> list[Rubbish]:
    """One piece for each partition, so that some lies in front of whatever comes next."""
    keys = {record.partition: record.key for record in results}
    topic = next(iter(results)).topic
    records = [OutgoingRecord(topic, GARBAGE, key, (("content-type", b"\xff\xfe"),)) for _, key in sorted(keys.items())]
    return [Rubbish("garbage without a token", record, Fate("unverified", "no-token")) for record in records]


def _token_of(result: Record) -> str:
    return read_result(result.value, result.headers).token


def _last_delivered(outcomes: Sequence[Mapping[str, Any]]) -> Place:
    """The answer that the bridge delivered last: it remembers that one for sure, in this very life."""
    last = max((each for each in outcomes if each["outcome"] == "delivered"), key=lambda each: int(each["at"]))
    return source_of(last)


def source_of(outcome: Mapping[str, Any]) -> Place:
    """Which result record an outcome record speaks of."""
    return int(outcome["source"]["partition"]), int(outcome["source"]["offset"])
