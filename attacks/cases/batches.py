"""Compressed batches: small on the broker, large where they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from attacks.attack import MUCH_TO_READ, RESTARTED, UNFOLDED, UNFOLDED_WHOLE, Attack, Write
from attacks.attacker import Attacker, Plain
from attacks.cases.topics import (
    TOPICS,
    TopicOf,
    control,
    judged,
    judged_everywhere,
    partitions,
    progress,
    results,
    tasks,
)
from attacks.raw_batches import Codec, Filling, RawRecord
from attacks.verdicts import Bounds

_MB: Final = 1_000_000
_READABLE: Final = 120
_PER_READABLE: Final = 17
_READABLE_RECORDS: Final = _READABLE * _PER_READABLE
_TINY: Final = 300_000
_TINY_TASKS: Final = 50_000
_OF_EACH_CODEC: Final = 8


def _one_batch(topic: TopicOf, codec: Codec, records: Sequence[RawRecord]) -> Write:
    async def write(attacker: Attacker) -> None:
        await attacker.write_records(topic(attacker), records, codec)

    return write


def _large_values(topic: TopicOf, codec: Codec) -> Write:
    """120 records of 900 kB: beyond what librdkafka decompresses."""
    return _one_batch(topic, codec, [RawRecord(Filling(900_000))] * 120)


def _readable_batches(topic: TopicOf) -> Write:
    """120 batches that a client can read, of 15 MB each."""

    async def write(attacker: Attacker) -> None:
        one = await attacker.built([RawRecord(Filling(900_000))] * _PER_READABLE, Codec.ZSTD)
        for number in range(_READABLE):
            await attacker.write_batch(topic(attacker), one, number % len(partitions(topic)))

    return write


async def _every_codec(attacker: Attacker) -> None:
    """Eight records of each codec in each topic."""
    for topic in TOPICS:
        for codec in Codec:
            await attacker.write_records(topic(attacker), [RawRecord(b"{}", b"key")] * _OF_EACH_CODEC, codec)


async def _cancels(attacker: Attacker) -> None:
    """A hundred records of the control topic."""
    await attacker.write(control(attacker), [Plain(b"{}")] * 100)


_OF_TASKS: Final = (
    ("large-task", "one value of 400 MB, gzip", _one_batch(tasks, Codec.GZIP, [RawRecord(Filling(400 * _MB))]), 1),
    ("large-tasks", "a zstd batch of 120 records of 900 kB", _large_values(tasks, Codec.ZSTD), 1),
    ("task-batches", "120 zstd batches of 15 MB, which clients can read", _readable_batches(tasks), _READABLE_RECORDS),
    ("tiny-tasks", "a batch of 50,000 empty records", _one_batch(tasks, Codec.ZSTD, [RawRecord()] * _TINY_TASKS), 1),
)

_DOCUMENTED: Final = {
    "large-task-confluent": UNFOLDED_WHOLE,
    "task-batches-confluent": UNFOLDED,
    "task-batches-aiokafka": MUCH_TO_READ,
}
"""What SECURITY.md says of them."""

ATTACKS: Final = (
    Attack(
        name="large-values",
        does="results: a zstd batch of 120 records of 900 kB",
        write=_large_values(results, Codec.ZSTD),
        bounds=RESTARTED,
        evidence=judged(results, 1),
        restart=True,
    ),
    Attack(
        name="large-values-lz4",
        does="results: the same batch in lz4",
        write=_large_values(results, Codec.LZ4),
        bounds=UNFOLDED,
        evidence=judged(results, 1),
    ),
    Attack(
        name="large-values-gzip",
        does="results: the same batch in gzip",
        write=_large_values(results, Codec.GZIP),
        bounds=UNFOLDED,
        evidence=judged(results, 1),
    ),
    Attack(
        name="large-values-control",
        does="control: the same batch in zstd",
        write=_large_values(control, Codec.ZSTD),
        bounds=RESTARTED,
        evidence=judged(control, 1),
        restart=True,
    ),
    Attack(
        name="large-values-progress",
        does="progress: the same batch in zstd",
        write=_large_values(progress, Codec.ZSTD),
        evidence=judged(progress, 1),
    ),
    Attack(
        name="large-result",
        does="results: one value of 300 MB, gzip; the bridge on aiokafka",
        write=_one_batch(results, Codec.GZIP, [RawRecord(Filling(300 * _MB))]),
        evidence=judged(results, 1),
        bridge_client="aiokafka",
    ),
    Attack(
        name="large-result-confluent",
        does="the same; the bridge on confluent-kafka",
        write=_one_batch(results, Codec.GZIP, [RawRecord(Filling(300 * _MB))]),
        bounds=UNFOLDED_WHOLE,
        evidence=judged(results, 1),
    ),
    Attack(
        name="large-cancel",
        does="control: one value of 400 MB, gzip",
        write=_one_batch(control, Codec.GZIP, [RawRecord(Filling(400 * _MB))]),
        bounds=RESTARTED,
        evidence=judged(control, 1),
        restart=True,
    ),
    Attack(
        name="large-cancel-confluent",
        does="the same; the worker on confluent-kafka",
        write=_one_batch(control, Codec.GZIP, [RawRecord(Filling(400 * _MB))]),
        bounds=replace(UNFOLDED_WHOLE, wait_s=RESTARTED.wait_s),
        evidence=judged(control, 1),
        restart=True,
        client="confluent",
    ),
    Attack(
        name="large-batches",
        does="results: 120 zstd batches of 15 MB, which clients can read",
        write=_readable_batches(results),
        bounds=UNFOLDED,
        evidence=judged(results, _READABLE_RECORDS),
    ),
    Attack(
        name="tiny-records",
        does="results: 300,000 records without key and value, in one batch",
        write=_one_batch(results, Codec.ZSTD, [RawRecord()] * _TINY),
        bounds=UNFOLDED,
        evidence=judged(results, 1),
    ),
    Attack(
        name="tiny-records-aiokafka",
        does="the same; the bridge on aiokafka",
        write=_one_batch(results, Codec.ZSTD, [RawRecord()] * _TINY),
        evidence=judged(results, 1),
        bridge_client="aiokafka",
    ),
    Attack(
        name="tiny-cancels",
        does="control: 300,000 records without key and value, in one batch",
        write=_one_batch(control, Codec.ZSTD, [RawRecord()] * _TINY),
        bounds=RESTARTED,
        evidence=judged(control, 1),
        restart=True,
    ),
    Attack(
        name="every-codec",
        does="each topic: records in each codec of Kafka",
        write=_every_codec,
        bounds=RESTARTED,
        evidence=judged_everywhere(len(Codec) * _OF_EACH_CODEC),
        restart=True,
    ),
    Attack(
        name="recompressing-topics",
        does="each topic has compression.type=zstd",
        write=_cancels,
        topic_options={"compression.type": "zstd"},
        bounds=RESTARTED,
        evidence=judged(control, 100),
        restart=True,
    ),
    *(
        Attack(
            name=f"{name}-{client}",
            does=f"tasks: {does}; {client}",
            write=write,
            bounds=_DOCUMENTED.get(f"{name}-{client}", Bounds()),
            evidence=judged(tasks, least),
            client=client,
        )
        for client in ("aiokafka", "confluent")
        for name, does, write, least in _OF_TASKS
    ),
)
