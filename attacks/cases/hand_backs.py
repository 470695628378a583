"""A worker that hands back whatever it gets, at once: each hand-back asks for the next attempt."""

from __future__ import annotations

from collections import Counter
from typing import Final

import httpx

from attacks.attack import Attack
from attacks.attacker import Attacker, Plain
from attacks.evidence import Evidence, judged_results
from attacks.work import PATIENT_SUFFIX
from kallback.kafka import Record, create_topics
from kallback.kafka.topics import TopicSpec
from kallback.protocol import TaskHeaders, failed_headers
from kallback.protocol.long_tasks.hand_backs import hand_back

_TASKS: Final = 10
_FOLLOW_S: Final = 20.0
_AT_ONCE: Final = 20
"""Hand-backs of one task after which the next attempt follows without a pause."""
_ROUNDS: Final = 2
"""Attempts of each task that are handed back at least, also on a busy machine."""
_PAUSED: Final = 4
"""Attempts after them in that time: the pauses are 2, 4 and 8 s."""
_DETAILS: Final = b'"' + b"x" * 1_000 + b'"'
_COPIES: Final = 3
_FORGED: Final = 3


async def _hand_backs(attacker: Attacker) -> None:
    """Three times each, and as often with a forged token."""
    topic = attacker.tasks + PATIENT_SUFFIX
    await create_topics(attacker.installation.settings.kafka, [TopicSpec(topic)])
    async with httpx.AsyncClient(base_url=attacker.installation.stack.ingress_url, timeout=30) as ingress:
        for number in range(_TASKS):
            (await ingress.post("/Attacked/wait/send", json=number)).raise_for_status()
    attempts: Counter[str] = Counter()
    value = hand_back(_DETAILS, "0-99999").encode()

    def answers(record: Record) -> list[Plain]:
        headers = TaskHeaders.decode(record.headers)
        attempts[headers.task_id] = max(attempts[headers.task_id], headers.attempt)
        forged = [Plain(value, failed_headers(attacker.forged_token())) for _ in range(_FORGED)]
        return [Plain(value, failed_headers(headers.token))] * _COPIES + forged

    await attacker.follow_all(topic, _FOLLOW_S, answers, attacker.topics.results)
    if len(attempts) < _TASKS or min(attempts.values()) < _ROUNDS:
        attacker.findings.append(f"the attack missed its aim: {len(attempts)} tasks were handed back, as {attempts}")
    if max(attempts.values(), default=0) > _AT_ONCE + _PAUSED + 1:
        attacker.findings.append(f"a task was sent {max(attempts.values())} times in {_FOLLOW_S:g} s")


ATTACKS: Final = (
    Attack(
        name="hand-backs",
        does="results: each attempt of ten tasks is handed back at once, six times, three of them forged",
        write=_hand_backs,
        evidence=(
            Evidence(("bridge_records_settled",), frozenset({"duplicate"}), _TASKS * _ROUNDS),
            judged_results(_TASKS * _ROUNDS, "wrong-tag"),
        ),
    ),
)
