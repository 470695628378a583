"""Many records that are well-formed, and forged, copied or junk."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice
from typing import Final

from attacks.attack import RESTARTED, Attack, Write
from attacks.attacker import Attacker, Plain
from attacks.cases.topics import TopicOf, control, judged, progress, results, tasks
from attacks.evidence import Evidence, task_outcomes
from attacks.verdicts import Bounds
from kallback.kafka import Record
from kallback.protocol import Signal, progress_headers

_COUNT: Final = 200_000
_TASKS: Final = 50_000
_DIFFERENT: Final = 1_000
_COPIES: Final = 50
_COPY_S: Final = 10.0
_LATE_MS: Final = 1_000


def _flood(topic: TopicOf, one: Callable[[Attacker], Plain], count: int = _COUNT) -> Write:
    async def write(attacker: Attacker) -> None:
        different = [one(attacker) for _ in range(_DIFFERENT)]
        await attacker.write(topic(attacker), islice(cycle(different), count))

    return write


def _result(attacker: Attacker) -> Plain:
    return attacker.forged_result()


def _junk(_: Attacker) -> Plain:
    return Plain(b"no token")


def _heartbeat(attacker: Attacker) -> Plain:
    return Plain(b'{"done":1}', progress_headers(attacker.forged_token(), Signal.HEARTBEAT, 1_700_000_000_000, 1_000))


def _expired_task(attacker: Attacker) -> Plain:
    return attacker.forged_task(deadline_ms=_LATE_MS)


async def _copies(attacker: Attacker) -> None:
    """Each result again, fifty times: its token is verified."""

    def again(record: Record) -> Plain | None:
        return Plain(record.value, record.headers) if record.key is not None else None

    await attacker.follow(results(attacker), _COPY_S, again, results(attacker), copies=_COPIES)


_SWIFT: Final = Bounds(wait_s=8.0, median_s=1.0)
"""A result waits until the flood before it in its partition is read: the longest wait is the time that this takes."""

ATTACKS: Final = (
    Attack(
        name="flood-of-results",
        does="results: 200,000 forged tokens",
        write=_flood(results, _result),
        bounds=_SWIFT,
        evidence=judged(results, _COUNT),
    ),
    Attack(
        name="flood-of-junk",
        does="results: 200,000 without a token",
        write=_flood(results, _junk),
        bounds=_SWIFT,
        evidence=judged(results, _COUNT),
    ),
    Attack(
        name="flood-of-progress",
        does="progress: 200,000 forged heartbeats",
        write=_flood(progress, _heartbeat),
        bounds=_SWIFT,
        evidence=judged(progress, _COUNT),
    ),
    Attack(
        name="flood-of-control",
        does="control: 200,000 records that are no cancels",
        write=_flood(control, _junk),
        bounds=RESTARTED,
        evidence=judged(control, _COUNT),
        restart=True,
    ),
    Attack(
        name="flood-of-tasks",
        does="tasks: 50,000 records that are no tasks",
        write=_flood(tasks, _junk, _TASKS),
        evidence=judged(tasks, _TASKS),
    ),
    Attack(
        name="flood-of-expired-tasks",
        does="tasks: 50,000 tasks whose deadline has passed",
        write=_flood(tasks, _expired_task, _TASKS),
        evidence=(task_outcomes(_TASKS, "skipped_expired"),),
    ),
    Attack(
        name="copies",
        does="results: each good result fifty times more",
        write=_copies,
        bounds=_SWIFT,
        evidence=(Evidence(("bridge_records_settled",), frozenset({"duplicate"}), 20 * _COPIES),),
    ),
)
