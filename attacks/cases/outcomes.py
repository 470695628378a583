"""The outcomes topic, which people read and consoles show."""

from __future__ import annotations

import json
from typing import Any, Final

from attacks.attack import Attack
from attacks.attacker import Attacker, Plain

_LARGE: Final = 200
_USUAL: Final = 5_000
_LARGEST: Final = 2**63
_LIST_MIB: Final = 100.0
_LIST_S: Final = 20.0
_LIST_BYTES: Final = 8_000_000
_ESCAPES: Final = "\x1b[2J\x1b]0;owned\x07\u202e"


def _outcome(**members: Any) -> Plain:
    source = {"topic": "t", "partition": 0, "offset": 1, "timestamp_ms": 1_700_000_000_000}
    usual = {"kallback": 1, "outcome": "late", "reason": "late", "type": "attacks.good", "source": source, "at": 1}
    return Plain(json.dumps(usual | members).encode())


async def _odd_outcomes(attacker: Attacker) -> None:
    """Texts of great length and with terminal escapes, numbers beyond all times; then an operator reads them."""
    text = "x" * 900_000
    odd = [
        *(_outcome(**{member: text}) for member in ("reason", "type", "task", "by", "why", "did", "failure")),
        *(_outcome(at=at) for at in (_LARGEST, -_LARGEST, 10**18, 10**900)),
        _outcome(attempt=-_LARGEST, count=-1),
        _outcome(reason=_ESCAPES, type=_ESCAPES, task=_ESCAPES, by=_ESCAPES, why=_ESCAPES, failure=_ESCAPES),
        _outcome(more=json.loads("[" * 600 + "]" * 600)),
        Plain(b"[" * 900_000),
        Plain(b"\xff"),
        Plain(None),
    ]
    await attacker.write(attacker.topics.outcomes, odd * (_LARGE // 7), compression_type="zstd")
    await attacker.write(attacker.topics.outcomes, [_outcome()] * _USUAL)
    await attacker.write(attacker.topics.outcomes, odd)
    for words in (("list", "--limit", "1000"), ("list", "--by-hand", "--since", "1h"), ("tail",)):
        await _read(attacker, *words)


async def _read(attacker: Attacker, *words: str) -> None:
    done = await attacker.command("outcomes", *words, limit_s=120)
    command = f"outcomes {' '.join(words)}"
    if done.exit_code != 0:
        attacker.findings.append(f"{command} ended with {done.exit_code}: {done.output[-300:]}")
    if done.mib > _LIST_MIB or done.seconds > _LIST_S or len(done.output) > _LIST_BYTES:
        attacker.findings.append(
            f"{command} takes {done.mib:.0f} MiB and {done.seconds:.0f} s, and prints {len(done.output):,} characters; "
            f"{_LIST_MIB:g} MiB, {_LIST_S:g} s and {_LIST_BYTES:,} are allowed"
        )
    if "\x1b" in done.output or "\u202e" in done.output:
        attacker.findings.append(f"{command} shows escapes of an outcome as they are")


ATTACKS: Final = (Attack(name="odd-outcomes", does="outcomes: forged and odd ones, then lists", write=_odd_outcomes),)
