"""Transactions that are left open or aborted: what lies behind an open one waits until the broker ends it."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from confluent_kafka import Producer

from attacks.attack import Attack
from attacks.attacker import Attacker
from attacks.cases.topics import TOPICS, control, partitions, results, tasks
from attacks.verdicts import Bounds

_OPEN: Final = (results, tasks, control)
_TIMEOUT_MS: Final = 8_000
_ABORTED: Final = 100
_LONGEST_OPEN_S: Final = 18.0
"""Eight seconds of the transaction, and up to ten until the broker looks for those that are over."""
_WAIT_S: Final = 30.0
_HALF_WAIT_S: Final = _LONGEST_OPEN_S / 2 + 1.0
"""Calls begin evenly while it is open, and each waits until it ends: half of them for more than half of the time."""


def _producer(attacker: Attacker, name: str) -> Producer:
    producer = Producer(
        {
            "bootstrap.servers": attacker.installation.stack.bootstrap_servers,
            "transactional.id": f"{attacker.topics.prefix}{name}",
            "transaction.timeout.ms": _TIMEOUT_MS,
            "log_level": 0,
        }
    )
    producer.init_transactions(30)
    return producer


def _leave_open(attacker: Attacker) -> None:
    producer = _producer(attacker, "open")
    producer.begin_transaction()
    for topic in _OPEN:
        attacker.targets.add(topic(attacker))
        for partition in partitions(topic):
            producer.produce(topic(attacker), b"1", partition=partition)
    producer.flush(30)


def _abort_many(attacker: Attacker) -> None:
    producer = _producer(attacker, "aborted")
    for _ in range(_ABORTED):
        producer.begin_transaction()
        for topic in TOPICS:
            producer.produce(topic(attacker), b"1")
        producer.flush(30)
        producer.abort_transaction(30)


async def _is_open(attacker: Attacker) -> bool:
    """Whether a transaction keeps readers from the end of a topic; good records go on being written."""
    topics = [topic(attacker) for topic in _OPEN]
    return any([await attacker.ends(topic) > await attacker.stable_ends(topic) for topic in topics])


async def _open(attacker: Attacker) -> None:
    """Left open on every partition of results, tasks and control."""
    began = time.monotonic()
    await asyncio.to_thread(_leave_open, attacker)
    while await _is_open(attacker):
        if time.monotonic() - began > _WAIT_S:
            attacker.findings.append("the broker does not end the transaction")
            return
        await asyncio.sleep(0.2)
    if time.monotonic() - began < _TIMEOUT_MS / 1000:
        attacker.findings.append("the attack missed its aim: no transaction was open")


async def _aborted(attacker: Attacker) -> None:
    """100 transactions over all topics."""
    topics = [topic(attacker) for topic in TOPICS]
    attacker.targets.update(topics)
    before = [await attacker.ends(topic) for topic in topics]
    await asyncio.to_thread(_abort_many, attacker)
    for topic, end in zip(topics, before, strict=True):
        if await attacker.ends(topic) < end + 2 * _ABORTED:
            attacker.findings.append(f"the attack missed its aim: {topic} has no aborted transactions")


ATTACKS: Final = (
    Attack(
        name="open-transaction",
        does="results, tasks and control: a transaction of 8 s that is left open, and a restart",
        write=_open,
        bounds=Bounds(wait_s=_WAIT_S, median_s=_HALF_WAIT_S, settle_s=90.0),
        restart=True,
    ),
    Attack(name="aborted-transactions", does="each topic: 100 aborted transactions", write=_aborted),
)
