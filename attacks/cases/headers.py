"""Records that consist of headers, and headers with odd names."""

from __future__ import annotations

from typing import Final

from attacks.attack import RESTARTED, Attack, Write
from attacks.attacker import Attacker
from attacks.cases.topics import (
    TOPICS,
    TopicOf,
    control,
    end_mark,
    judged,
    judged_everywhere,
    partitions,
    progress,
    results,
    tasks,
)
from attacks.raw_batches import Codec, RawRecord

_BATCHES: Final = 180
_PER_BATCH: Final = 17  # 15.3 MB, which clients can read
_MANY: Final = 45_000
_DENSE: Final = 900
_DENSE_BATCHES: Final = 4


def _heavy(topic: TopicOf, count: int, size: int) -> Write:
    """3,060 records that are all headers, in zstd batches of 17."""

    async def write(attacker: Attacker) -> None:
        headers = [(b"x%d" % number, b"\x00" * size) for number in range(count)]
        one = await attacker.built([RawRecord(headers=headers)] * _PER_BATCH, Codec.ZSTD)
        for number in range(_BATCHES):
            await attacker.write_batch(topic(attacker), one, number % len(partitions(topic)))
        if topic is control:
            await end_mark(attacker)

    return write


async def _many_tokens(attacker: Attacker) -> None:
    """One record with 45,000 different tokens in each topic."""
    headers = [(b"kallback-token", b"%d" % number) for number in range(_MANY)]
    for topic in TOPICS:
        await attacker.write_records(topic(attacker), [RawRecord(b"1", headers=headers)])
    await end_mark(attacker)


async def _many_names(attacker: Attacker) -> None:
    """One record with 45,000 different names, and no values, in each topic."""
    headers = [(b"kallback-%d" % number, None) for number in range(_MANY)]
    for topic in TOPICS:
        await attacker.write_records(topic(attacker), [RawRecord(b"1", headers=headers)])
    await end_mark(attacker)


async def _odd_names(attacker: Attacker) -> None:
    """Header names that are not UTF-8, empty, or long, between good records."""
    names = (b"\xff\xfe", b"", b"n" * 100_000, b"\x00", "\u202ename".encode())
    for topic in TOPICS:
        for name in names:
            await attacker.write_records(topic(attacker), [RawRecord(b"1", headers=[(name, b"x")])] * 5)


async def _many_in_a_small_batch(attacker: Attacker) -> None:
    """Three records with 45,000 headers in one batch of 0.4 MB, in each topic."""
    headers = [(b"k", None)] * _MANY
    for topic in TOPICS:
        await attacker.write_records(topic(attacker), [RawRecord(headers=headers)] * 3)
    await end_mark(attacker)


async def _dense(attacker: Attacker) -> None:
    """In each topic 3,600 records with 500 headers of two bytes, which is allowed, in batches of 0.9 MB."""
    records = [RawRecord(headers=[(b"", None)] * 500)] * _DENSE
    for topic in TOPICS:
        one = await attacker.built(records, Codec.NONE)
        for _ in range(_DENSE_BATCHES):
            await attacker.write_batch(topic(attacker), one, 0)
    await end_mark(attacker)


_RECORDS: Final = _BATCHES * _PER_BATCH
_ODD_NAMES: Final = 20  # of 25: workers on aiokafka drop large records of the control topic unread

ATTACKS: Final = (
    Attack(
        name="heavy-headers",
        does="results: 3,060 records with 0.9 MB of headers",
        write=_heavy(results, 100, 9_000),
        evidence=judged(results, _RECORDS),
    ),
    Attack(
        name="allowed-headers",
        does="results: 3,060 records with 250 kB of headers, which is allowed",
        write=_heavy(results, 490, 500),
        evidence=judged(results, _RECORDS),
    ),
    Attack(
        name="heavy-tasks",
        does="tasks: 3,060 records with 0.9 MB of headers",
        write=_heavy(tasks, 100, 9_000),
        evidence=judged(tasks, _RECORDS),
    ),
    Attack(
        name="heavy-tasks-confluent",
        does="the same; the worker on confluent-kafka",
        write=_heavy(tasks, 100, 9_000),
        evidence=judged(tasks, _RECORDS),
        client="confluent",
    ),
    Attack(
        name="allowed-tasks",
        does="tasks: 3,060 records with 250 kB of headers, which is allowed",
        write=_heavy(tasks, 490, 500),
        evidence=judged(tasks, _RECORDS),
    ),
    Attack(
        name="heavy-progress",
        does="progress: 3,060 records with 0.9 MB of headers",
        write=_heavy(progress, 100, 9_000),
        evidence=judged(progress, _RECORDS),
    ),
    Attack(
        name="heavy-cancels",
        does="control: 3,060 records with 0.9 MB of headers",
        write=_heavy(control, 100, 9_000),
        bounds=RESTARTED,
        evidence=judged(control, 1),
        restart=True,
    ),
    Attack(
        name="many-tokens",
        short=True,
        does="each topic: one record with 45,000 tokens",
        write=_many_tokens,
        evidence=judged_everywhere(1),
    ),
    Attack(
        name="many-names",
        does="each topic: one record with 45,000 header names",
        write=_many_names,
        evidence=judged_everywhere(1),
    ),
    Attack(
        name="small-batches-of-headers",
        short=True,
        does="each topic: three records with 45,000 headers in a batch of 0.4 MB; both on aiokafka",
        write=_many_in_a_small_batch,
        evidence=judged_everywhere(1),
        bridge_client="aiokafka",
    ),
    Attack(
        name="dense-headers",
        does="each topic: 3,600 records with 500 headers of two bytes; both on aiokafka",
        write=_dense,
        evidence=judged_everywhere(1),
        bridge_client="aiokafka",
    ),
    Attack(
        name="odd-names",
        short=True,
        does="each topic: header names that are not UTF-8, empty or long",
        write=_odd_names,
        bounds=RESTARTED,
        evidence=judged_everywhere(_ODD_NAMES),
        restart=True,
    ),
    Attack(
        name="odd-names-confluent",
        does="the same; the worker on confluent-kafka",
        write=_odd_names,
        bounds=RESTARTED,
        evidence=judged_everywhere(_ODD_NAMES),
        restart=True,
        client="confluent",
    ),
)
