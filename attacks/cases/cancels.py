"""Records of the control topic, which every worker reads whole when it starts."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import replace
from typing import Any, Final

from attacks.attack import RESTARTED, UNFOLDED, Attack
from attacks.attacker import Attacker, Plain
from attacks.cases.topics import control, end_mark, judged
from attacks.evidence import Evidence, judged_control
from attacks.raw_batches import Codec, RawRecord
from kallback.kafka import Record
from kallback.protocol import InvalidTaskError, TaskHeaders, task_id_of

_IDS: Final = 1_500
_PER_BATCH: Final = 10
_ID_BYTES: Final = 950_000
_MANY: Final = 200_000
_CANCEL_S: Final = 8.0
_CANCELLED_TASKS: Final = 50
_ODD: Final = 1_300
_LARGEST: Final = 2**63


def _cancel(task: str, **members: Any) -> bytes:
    now = int(time.time() * 1000)
    usual = {"kallback": 1, "action": "cancel", "task": task, "attempt": None, "reason": "cancelled", "at": now}
    return json.dumps(usual | members).encode()


async def _huge_ids(attacker: Attacker) -> None:
    """In zstd batches of ten."""
    one = await attacker.built([RawRecord(_cancel("x" * _ID_BYTES))] * _PER_BATCH, Codec.ZSTD)
    for _ in range(_IDS // _PER_BATCH):
        await attacker.write_batch(attacker.topics.control, one)
    await end_mark(attacker)


async def _many_cancels(attacker: Attacker) -> None:
    """Each of another task, as large as a cancel may be."""
    ids = (task_id_of(secrets.token_bytes(12)) for _ in range(_MANY))
    records = (Plain(_cancel(each, padding="x" * 800)) for each in ids)
    await attacker.write(attacker.topics.control, records, compression_type="zstd", batch_num_messages=1_000)


async def _forged_cancels(attacker: Attacker) -> None:
    """A cancel of each good task while it runs."""

    def cancel(record: Record) -> Plain | None:
        try:
            task_id = TaskHeaders.decode(record.headers).task_id
        except InvalidTaskError:
            return None
        return Plain(_cancel(task_id), key=task_id.encode())

    await attacker.follow(attacker.tasks, _CANCEL_S, cancel, attacker.topics.control)


async def _odd_cancels(attacker: Attacker) -> None:
    """Members that are out of range, of another type, or repeated."""
    task_id = task_id_of(secrets.token_bytes(12))
    odd = (
        _cancel(task_id, at=_LARGEST),
        _cancel(task_id, at=-_LARGEST),
        _cancel(task_id, at=10**900),
        _cancel(task_id, attempt=-1),
        _cancel(task_id, attempt=10**900),
        _cancel(task_id, attempt=True),
        _cancel(task_id, reason="\ud800"),
        _cancel("\u202e" * 16),
        _cancel("\x00" * 16),
        _cancel(""),
        b"[" * 1_000,
        b'{"kallback":1,' * 60,
        b"\xff" * 1_000,
    )
    await attacker.write(attacker.topics.control, [Plain(value) for value in odd] * 100)


ATTACKS: Final = (
    Attack(
        name="huge-ids",
        does="control: 1,500 cancels of ids of 0.95 MB",
        write=_huge_ids,
        bounds=RESTARTED,
        evidence=judged(control, 1),
        restart=True,
    ),
    Attack(
        name="huge-ids-confluent",
        does="the same; the worker on confluent-kafka",
        write=_huge_ids,
        bounds=replace(RESTARTED, worker_mib=UNFOLDED.worker_mib),
        evidence=judged(control, _IDS),
        restart=True,
        client="confluent",
    ),
    Attack(
        name="many-cancels",
        does="control: 200,000 cancels of 1 kB",
        write=_many_cancels,
        bounds=RESTARTED,
        evidence=(judged_control(_MANY, "cancel"),),
        restart=True,
    ),
    Attack(
        name="forged-cancels",
        short=True,
        does="control: an unsigned cancel of each good task while it runs",
        write=_forged_cancels,
        evidence=(Evidence(("worker_cancels_refused",), frozenset({"no-secret"}), _CANCELLED_TASKS),),
        work_s=0.5,
    ),
    Attack(
        name="odd-cancels",
        does="control: 1,300 cancels with odd members",
        write=_odd_cancels,
        bounds=RESTARTED,
        evidence=(judged_control(_ODD, "cancel", "invalid"),),
        restart=True,
    ),
)
