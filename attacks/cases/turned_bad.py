"""A worker that turned bad: it has valid tokens of tasks that it was given, and writes what no worker writes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from attacks.attack import Attack
from attacks.attacker import Attacker, Plain
from attacks.cases.topics import progress
from attacks.evidence import Evidence, counters_of, judged_progress, judged_results
from attacks.raw_batches import RawRecord, batch
from attacks.verdicts import Bounds
from kallback.kafka import ConfluentReader, Record
from kallback.protocol import Attempt, AwakeableId, InvalidTaskError, TaskHeaders, Token, progress_headers, task_id_of
from kallback.protocol.headers import STATUS, TOKEN
from kallback.protocol.long_tasks.progress import Signal

_FOLLOW_S: Final = 8.0
_PER_TASK: Final = 100
_LATE: Final = 20_000
_LATE_MS: Final = 1_000
_TYPES: Final = 5_000
_MOST_SAMPLES: Final = 1_500
_TOKENS: Final = 60
_MOST_DETAILS: Final = 16_384
_LATEST_MS: Final = 10**15 - 1
_NOW_MS: Final = 1_700_000_000_000


class _Tokens:
    """Signs tokens with the installation's own key, all for the awakeable of a call that was answered long ago."""

    def __init__(self, attacker: Attacker, awakeable: AwakeableId) -> None:
        self._keyring: Final = attacker.installation.settings.keys.require()
        self._audience: Final = attacker.topics.results
        self._awakeable: Final = awakeable

    def another(self, *, task_type: str = "attacks.good", deadline_ms: int = 0, audience: str = "") -> str:
        """A token of another task."""
        task_id = task_id_of(secrets.token_bytes(12))
        token = Token(task_type, task_id, Attempt(1), self._awakeable, deadline_ms)
        return self._keyring.sign(token, audience or self._audience)


async def _tokens(attacker: Attacker) -> _Tokens:
    """Take the awakeable of the first good call."""
    keyring = attacker.installation.settings.keys.require()
    async with ConfluentReader(attacker.installation.settings.kafka, attacker.tasks) as reader:
        first, *_ = await reader.fetch(timeout=_FOLLOW_S)
    token = keyring.verify(TaskHeaders.decode(first.headers).token, attacker.topics.results)
    return _Tokens(attacker, token.awakeable_id)


def _details() -> tuple[bytes, ...]:
    """Details at the bounds: of bytes, of nesting, of numbers, of text."""
    return (
        b'"' + b"x" * (_MOST_DETAILS - 2) + b'"',
        b'"' + b"x" * (_MOST_DETAILS - 1) + b'"',
        b"[" * 500 + b"]" * 500,
        b"[" * 501 + b"]" * 501,
        b"[" * _MOST_DETAILS,
        b'{"percent":-1e308,"of":' + b"9" * 308 + b"}",
        b'{"percent":1e400}',
        b'{"percent":' + b"9" * 4_000 + b"}",
        b'{"percent":NaN}',
        b'"\\u0000\\u001b[2J\\u202e"',
        b'"\\ud800"',
        b"\xff\xfe",
        b"\x00",
        b'{"a":1,"a":2}',
    )


def _beats(token: str) -> Iterator[Plain]:
    """Progress of one task, in every odd form."""
    for details in _details():
        for at_ms in (_NOW_MS, 0, _LATEST_MS, _LATEST_MS + 1):
            yield Plain(details, progress_headers(token, Signal.HEARTBEAT, at_ms, 1, "0-99999"))
    usual = progress_headers(token, Signal.HEARTBEAT, _NOW_MS, 10**14)
    yield Plain(None, progress_headers(token, Signal.STARTED, _LATEST_MS))
    yield Plain(None, usual + usual)
    yield Plain(None, (*usual, (TOKEN, b"another")))
    yield Plain(None, (*usual, ("kallback-signal", b"ended")))
    yield Plain(None, (*usual, ("kallback-partitions", b"0-999999," * 200)))
    yield Plain(None, tuple((name, None) for name, _ in usual))


async def _odd_progress(attacker: Attacker) -> None:
    """Beside each good task while it runs."""

    def answer(record: Record) -> list[Plain]:
        return list(islice(_repeated(lambda: _beats(TaskHeaders.decode(record.headers).token)), _PER_TASK))

    await _follow_tasks(attacker, answer, progress(attacker))


def _repeated(make: Callable[[], Iterator[Plain]]) -> Iterator[Plain]:
    while True:
        yield from make()


async def _follow_tasks(attacker: Attacker, answers: Callable[[Record], list[Plain]], to: str) -> None:
    def all_answers(record: Record) -> list[Plain]:
        try:
            return answers(record)
        except InvalidTaskError:
            return []

    await attacker.follow_all(attacker.tasks, _FOLLOW_S, all_answers, to)


def _odd_results(token: str) -> Iterator[Plain]:
    """Values and headers at their bounds, with one token: the first one counts, the others are copies."""
    own = ((TOKEN, token.encode()),)
    for value in (*_details(), b"1" * 900_000, b"[" * 499 + b"1" + b"]" * 499):
        yield Plain(value, own)
    yield Plain(b"1", own * 500)
    yield Plain(b"1", own * 501)
    yield Plain(b"1", (*own, ("x", b"\x00" * 261_000)))
    yield Plain(b"1", (*own, ("x", b"\x00" * 262_145)))
    yield Plain(b"1", (*own, (STATUS, b"completed"), (STATUS, b"failed")))
    yield Plain(b"1", (*own, (STATUS, b"\xff\x00")))
    yield Plain(b"{}", (*own, (STATUS, b"failed"), ("kallback-by", b"\x1b[2J" * 99), ("kallback-why", b"\xff" * 9)))
    yield Plain(b'{"type":"urn:kallback:handed-back","partitions":"0-999999"}', (*own, (STATUS, b"failed")))
    yield Plain(b'{"type":{},"status":1e300,"retry_after":-1,"detail":[]}', (*own, (STATUS, b"failed")))
    yield Plain(b"1", (*own, (TOKEN, token[:-1].encode() + b"_")))


async def _spent_tokens(attacker: Attacker) -> None:
    """Each odd result first for some tokens, and all of them for each token."""
    made, forms = await _tokens(attacker), len(list(_odd_results("")))
    for first in range(forms):
        tokens = [made.another() for _ in range(_TOKENS // forms + 1)]
        rotated = [[*list(_odd_results(each))[first:], *list(_odd_results(each))[:first]] for each in tokens]
        await attacker.write(
            attacker.topics.results, [one for each in rotated for one in each], message_max_bytes=2_000_000
        )
    other = [Plain(b"1", ((TOKEN, made.another(audience="other.results").encode()),)) for _ in range(_TOKENS)]
    await attacker.write(attacker.topics.results, other)


async def _late_copies(attacker: Attacker) -> None:
    """One token whose deadline has passed, in 20,000 results."""
    token = (await _tokens(attacker)).another(deadline_ms=_LATE_MS)
    late = Plain(b"1" * 500, ((TOKEN, token.encode()),))
    await attacker.write(attacker.topics.results, [late] * _LATE)


async def _late_tokens(attacker: Attacker) -> None:
    """As many tokens whose deadline has passed as results."""
    made = await _tokens(attacker)
    tokens = (made.another(deadline_ms=_LATE_MS) for _ in range(_LATE))
    results = [Plain(b"1" * 500, ((TOKEN, each.encode()),)) for each in tokens]
    await attacker.write(attacker.topics.results, results)


async def _spent_copies(attacker: Attacker) -> None:
    """One token in 20,000 results, of which the first counts; each has another value."""
    token = (await _tokens(attacker)).another().encode()
    await attacker.write(attacker.topics.results, [Plain(b"%d" % number, ((TOKEN, token),)) for number in range(_LATE)])


async def _copied_heartbeats(attacker: Attacker) -> None:
    """One heartbeat 20,000 times, then one of a token whose deadline has passed."""
    made = await _tokens(attacker)
    for token in (made.another(), made.another(deadline_ms=_LATE_MS)):
        beat = Plain(b'{"done":1}', progress_headers(token, Signal.HEARTBEAT, _NOW_MS, 1_000))
        await attacker.write(attacker.topics.progress, [beat] * _LATE)


async def _many_types(attacker: Attacker) -> None:
    """As many task types as results."""
    made = await _tokens(attacker)
    tokens = (made.another(task_type=f"{'t' * 100}.{number}") for number in range(_TYPES))
    await attacker.write(attacker.topics.results, [Plain(b"1", ((TOKEN, each.encode()),)) for each in tokens])
    samples = len(await counters_of(attacker.installation.bridge.port))
    if samples > _MOST_SAMPLES:
        attacker.findings.append(f"the bridge has {samples} counters for {_TYPES} task types")


async def _odd_times(attacker: Attacker) -> None:
    """Record times before 1970, none, and deltas that lead far away; with tokens in time and late ones."""
    made = await _tokens(attacker)
    for timestamp_ms in (-1, 0, 1, -(2**40)):
        records = [
            RawRecord(
                b"1", headers=[(b"kallback-token", made.another(deadline_ms=deadline).encode())], timestamp_delta=at
            )
            for deadline in (0, _LATE_MS)
            for at in (0, -(2**45), 5)
        ]
        for topic in (attacker.topics.results, attacker.topics.progress):
            await attacker.write_batch(topic, batch(records, timestamp_ms=timestamp_ms))
    for words in (("dead-letters", "list"), ("doctor",)):
        done = await attacker.command(*words)
        if "Traceback" in done.output:
            attacker.findings.append(f"{' '.join(words)} ends with a traceback: {done.output[-300:]}")


_SETTLED: Final = "bridge_records_settled"
_SWIFT: Final = Bounds(median_s=1.0)
"""Copies are recognized as they are read."""

ATTACKS: Final = (
    Attack(
        name="odd-progress",
        does="progress: 100 records with the token of each good task, at every bound",
        write=_odd_progress,
        evidence=(judged_progress(1_000, "invalid"), judged_progress(1_000, "coalesced")),
        work_s=0.5,
    ),
    Attack(
        name="spent-tokens",
        does="results: valid tokens of tasks that have ended, with values and headers at every bound",
        write=_spent_tokens,
        evidence=(
            Evidence((_SETTLED,), frozenset({"unusable"}), 25),
            Evidence((_SETTLED,), frozenset({"duplicate"}), 1_500),
            judged_results(_TOKENS, "wrong-tag"),
        ),
    ),
    Attack(
        name="late-copies",
        does="results: 20,000 with one valid token whose deadline has passed",
        write=_late_copies,
        bounds=_SWIFT,
        evidence=(Evidence((_SETTLED,), frozenset({"late"}), _LATE),),
    ),
    Attack(
        name="late-tokens",
        does="results: 20,000 valid tokens whose deadlines have passed",
        write=_late_tokens,
        bounds=Bounds(wait_s=10.0, median_s=2.0),
        evidence=(Evidence((_SETTLED,), frozenset({"late"}), _LATE),),
    ),
    Attack(
        name="spent-copies",
        does="results: 20,000 values with one valid token that was used",
        write=_spent_copies,
        bounds=_SWIFT,
        evidence=(Evidence((_SETTLED,), frozenset({"duplicate"}), _LATE - 1),),
    ),
    Attack(
        name="copied-heartbeats",
        does="progress: one heartbeat 20,000 times, and a late one as often",
        write=_copied_heartbeats,
        bounds=_SWIFT,
        evidence=(judged_progress(_LATE - 100, "coalesced"), judged_progress(_LATE, "late")),
    ),
    Attack(
        name="many-types",
        does="results: 5,000 valid tokens of as many task types",
        write=_many_types,
        evidence=(Evidence((_SETTLED,), frozenset({"(other)"}), _TYPES // 2),),
    ),
    Attack(
        name="odd-times",
        does="results and progress: valid tokens in records of 1970, before it, and without a time",
        write=_odd_times,
        evidence=(
            Evidence((_SETTLED,), frozenset({"late"}), 12),
            Evidence((_SETTLED,), frozenset({"delivered"}), 12),
            judged_progress(24, "invalid", "late"),
        ),
    ),
)
