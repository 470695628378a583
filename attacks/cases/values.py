"""Values, keys and timestamps that are costly or odd."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from attacks.attack import RESTARTED, UNFOLDED, Attack
from attacks.attacker import Attacker, Plain
from attacks.cases.topics import TOPICS, control, end_mark, judged, judged_everywhere, progress, results, tasks
from attacks.raw_batches import Codec, Filling, RawRecord, batch

_MB: Final = 1_000_000
_YEAR_1970: Final = 0
_COSTLY: Final = 110
_KEYS: Final = 17  # of a batch: 15.3 MB, which clients can read
_KEY_BATCHES: Final = 60
_HUGE_KEYS: Final = _KEYS * _KEY_BATCHES
_ODD_TIMES: Final = 43


def _nested() -> tuple[bytes, ...]:
    """JSON of about 1 MB without a token in a header: read in structured mode, before anything is verified."""
    half = 480_000
    head = b'{"kallback":{"version":1,"token":"kb1:x"'
    flat_list = b"[" + b"[]," * 300_000 + b"[]]"
    return (
        b"[" * (2 * half),
        b"[" * half + b"]" * half,
        head + b'},"data":' + b"[" * 499 + flat_list + b"]" * 499 + b"}",
        head + b',"status":' + flat_list + b"}}",
        head + b',"version":' + b"9" * 900_000 + b"}}",
        head + b"}" + b',"a":1' * 150_000 + b"}",
        b'"' + b"\\ud800" * 150_000 + b'"',
        b"{" + b'"\\u0000":1,' * 80_000 + b'"a":1}',
        b"1" + b"0" * 900_000,
        b"0." + b"1" * 900_000 + b"e-999999",
        b" " * 999_000 + b"1",
    )


async def _nested_values(attacker: Attacker) -> None:
    """Each of them ten times, in each topic."""
    for topic in TOPICS:
        for value in _nested():
            await attacker.write(topic(attacker), [Plain(value)] * 10, compression_type="zstd")
    await end_mark(attacker)


async def _huge_keys(attacker: Attacker) -> None:
    """1,020 records in each topic whose key has 0.9 MB."""
    one = await attacker.built([RawRecord(b"1", Filling(900_000))] * _KEYS, Codec.ZSTD)
    for topic in TOPICS:
        for _ in range(_KEY_BATCHES):
            await attacker.write_batch(topic(attacker), one)
    await end_mark(attacker)


async def _tombstones(attacker: Attacker) -> None:
    """5,000 records in each topic without a value, with and without a key."""
    for topic in TOPICS:
        await attacker.write(topic(attacker), [Plain(None), Plain(None, key=b"k")] * 2_500)


async def _odd_timestamps(attacker: Attacker) -> None:
    """Records of the year 1970, without a timestamp, and with deltas that lead out of time."""
    for topic in TOPICS:
        for timestamp in (_YEAR_1970, -1):
            raw = batch([RawRecord(b"1")] * 20, timestamp_ms=timestamp)
            await attacker.write_batch(topic(attacker), raw)
        records = [RawRecord(b"1"), RawRecord(b"1", timestamp_delta=-(2**40)), RawRecord(b"1")]
        await attacker.write_records(topic(attacker), records)


ATTACKS: Final = (
    Attack(
        name="costly-json",
        does="each topic: 110 values of 1 MB, nested, escaped, repeated, with 900,000 digits",
        write=_nested_values,
        evidence=(
            *judged(results, _COSTLY),
            *judged(tasks, _COSTLY),
            *judged(progress, _COSTLY),
            *judged(control, 1),
        ),
    ),
    Attack(
        name="huge-keys",
        does="each topic: 1,020 records whose key has 0.9 MB",
        write=_huge_keys,
        bounds=replace(UNFOLDED, wait_s=RESTARTED.wait_s, worker_mib=RESTARTED.worker_mib),
        evidence=(
            *judged(results, _HUGE_KEYS),
            *judged(tasks, _HUGE_KEYS),
            *judged(progress, _HUGE_KEYS),
            *judged(control, 1),
        ),
        restart=True,
    ),
    Attack(
        name="tombstones",
        does="each topic: 5,000 records without a value",
        write=_tombstones,
        bounds=RESTARTED,
        evidence=judged_everywhere(5_000),
        restart=True,
    ),
    Attack(
        name="odd-timestamps",
        does="each topic: timestamps of 1970, none, 35 years ago",
        write=_odd_timestamps,
        evidence=judged_everywhere(_ODD_TIMES),
    ),
)
