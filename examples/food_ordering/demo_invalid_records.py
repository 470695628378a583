"""Invalid records for the results topic, and the expected outcome of each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demo_processes import DemoProcesses

from kallback.kafka import AiokafkaProducer, OutgoingRecord, Record
from kallback.protocol import Token, UnverifiedError, completed_headers, read_claims, read_result, task_id_of
from kallback.settings import KeySettings

HOUR_MS = 3_600_000
GARBAGE = b"\x00\xffno text\xfe"

RecordPosition = tuple[int, int]
"""Partition and offset in the results topic: which record."""


@dataclass(frozen=True, slots=True)
class ExpectedOutcome:
    """The outcome that a record must have which is not an ordinary result.

    Attributes:
        outcome: in the outcomes topic.
        reason: of its dead letter; empty if there is none.
        replayed: whether its dead letter was sent again.
    """

    outcome: str
    reason: str = ""
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class InvalidRecord:
    """A record that no correct worker sends."""

    what: str
    record: OutgoingRecord
    expected: ExpectedOutcome


async def send_invalid_records(processes: DemoProcesses) -> dict[RecordPosition, InvalidRecord]:
    """Send the invalid records to the results topic; return them by position."""
    topics, keys = processes.settings.topics, processes.settings.keys
    last = _last_delivered(await processes.outcomes())
    results = {position_of(record): record for record in await processes.read(topics.results)}
    delivered = results[last]
    invalid = [_copy(delivered), _late(delivered, keys), _forged(delivered), *_poison(results.values())]
    sent: dict[RecordPosition, InvalidRecord] = {}
    async with AiokafkaProducer(processes.settings.kafka) as producer:
        for each in invalid:
            position = await producer.send(each.record)
            sent[position.partition, position.offset] = each
    return sent


def position_of(record: Record) -> RecordPosition:
    """Return its partition and offset."""
    return record.partition, record.offset


def key_id_of(record: Record) -> str:
    """Which key a result's token says that it is signed with; empty if there is no token."""
    try:
        return read_claims(_token_of(record)).key_id
    except UnverifiedError:
        return ""


def _copy(result: Record) -> InvalidRecord:
    """Key, value and headers as they are: only its position is new."""
    copy = OutgoingRecord(result.topic, result.value, result.key, result.headers)
    return InvalidRecord("a duplicate of a delivered answer", copy, ExpectedOutcome("duplicate"))


def _late(result: Record, keys: KeySettings) -> InvalidRecord:
    """A late result needs a valid token: the demo has the key."""
    real = read_claims(_token_of(result)).token
    deadline_ms = int(time.time() * 1000) - HOUR_MS
    old = Token(real.task_type, task_id_of(os.urandom(12)), real.attempt, real.awakeable_id, deadline_ms)
    headers = completed_headers(keys.require().sign(old, keys.audience))
    record = OutgoingRecord(result.topic, result.value, old.task_id.encode(), headers)
    return InvalidRecord("an answer that comes an hour after its deadline", record, ExpectedOutcome("late", "late"))


def _forged(result: Record) -> InvalidRecord:
    token = _token_of(result)
    changed = token[:-1] + ("B" if token.endswith("A") else "A")
    record = OutgoingRecord(result.topic, b'{"minutes": 0, "shelf": "mine"}', result.key, completed_headers(changed))
    return InvalidRecord(
        "a forged answer, one character of its token changed", record, ExpectedOutcome("unverified", "wrong-tag")
    )


def _poison(results: Iterable[Record]) -> list[InvalidRecord]:
    """One record for each partition, so that the next result comes after one of them."""
    keys = {record.partition: record.key for record in results}
    topic = next(iter(results)).topic
    records = [OutgoingRecord(topic, GARBAGE, key, (("content-type", b"\xff\xfe"),)) for _, key in sorted(keys.items())]
    return [
        InvalidRecord("garbage without a token", record, ExpectedOutcome("unverified", "no-token"))
        for record in records
    ]


def _token_of(result: Record) -> str:
    return read_result(result.value, result.headers).token


def _last_delivered(outcomes: Sequence[Mapping[str, Any]]) -> RecordPosition:
    """The answer that the bridge delivered last, which it still remembers."""
    last = max((each for each in outcomes if each["outcome"] == "delivered"), key=lambda each: int(each["at"]))
    return source_of(last)


def source_of(outcome: Mapping[str, Any]) -> RecordPosition:
    """The position of the result record that an outcome record is about."""
    return int(outcome["source"]["partition"]), int(outcome["source"]["offset"])
