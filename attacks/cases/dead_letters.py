"""The dead-letter topic, which people read and replay."""

from __future__ import annotations

import re
from itertools import cycle, islice
from typing import Final

from attacks.attack import Attack
from attacks.attacker import Attacker, Plain
from attacks.raw_batches import Codec, Filling, RawRecord
from kallback.protocol import Cancel, CancelReason, TaskId

_MANY: Final = 200_000
_NAMES: Final = 2_000
"""Topics of our prefix that do not exist, in stubs: no token is verified before their records are read."""
_CANCEL: Final = Cancel(TaskId("AAECAwQFBgcICQoL"), CancelReason.CANCELLED, 1).encode()
_REFUSED: Final = re.compile(r"(\d[\d,]*) dead letters? not replayed")
_LIST_MIB: Final = 100.0
_LIST_S: Final = 20.0
_ESCAPES: Final = "\x1b[2J\x1b]0;owned\x07\u202e"


def _letter(source: str, detail: str = "", record: Plain | None = None, reason: str = "unknown-key") -> Plain:
    facts = {
        "reason": reason,
        "detail": detail,
        "topic": source,
        "partition": "0",
        "offset": "7",
        "timestamp": "1700000000000",
        "at": "1700000000000",
        "group": "bridges",
    }
    record = record or Plain(b"1")
    headers = tuple((f"kallback-dead-{name}", text.encode()) for name, text in facts.items())
    return Plain(record.value, (*headers, *record.headers), record.key)


async def _forged_letters(attacker: Attacker) -> None:
    """Cancels, tasks and results that claim to come from any topic; then an operator replays all."""
    topics = attacker.topics
    sources = (*topics.all(), attacker.tasks, "__consumer_offsets", "elsewhere", "../x")
    records = (
        Plain(_CANCEL),
        attacker.forged_result(),
        attacker.forged_task(),
        attacker.forged_task(reply_to=topics.control),
        attacker.forged_task(progress_to=topics.control, heartbeat_every_ms=1),
    )
    letters = [_letter(source, record=record) for source in sources for record in records]
    stub = Plain(None, (("kallback-dead-stub", b"1000"),))
    letters += [_letter(f"{topics.prefix}nope-{number}", record=stub) for number in range(_NAMES)]
    before = [await attacker.ends(topic) for topic in (topics.control, topics.progress)]
    await attacker.write(topics.dead_letters, letters)
    done = await attacker.command("dead-letters", "replay", "--all", "--yes")
    refused = sum(int(count.replace(",", "")) for count in _REFUSED.findall(done.output))
    if refused != len(letters) or f"0 of {len(letters):,} dead letters can be replayed" not in done.output:
        attacker.findings.append(f"a replay refused {refused} of {len(letters)} forged dead letters: {done.output}")
    if [await attacker.ends(topic) for topic in (topics.control, topics.progress)] != before:
        attacker.findings.append("a replay sent a forged dead letter to the control topic or the progress topic")


async def _many_letters(attacker: Attacker) -> None:
    """A list of all of them is read by an operator."""
    different = [_letter(attacker.topics.results, detail=f"{number}" * 20) for number in range(100)]
    await attacker.write(attacker.topics.dead_letters, islice(cycle(different), _MANY))
    listed = await _list(attacker)
    if (rows := listed.count("\n{")) < _MANY - 1:
        attacker.findings.append(f"dead-letters list shows {rows} of {_MANY} dead letters")


async def _odd_letters(attacker: Attacker) -> None:
    """Terminal escapes, headers that are missing or no numbers, batches that unfold."""
    letters = attacker.topics.dead_letters
    odd = [
        _letter(_ESCAPES, _ESCAPES, reason=_ESCAPES),
        _letter("t" * 100_000, "d" * 100_000),
        Plain(b"[" * 900_000, (("kallback-dead-reason", b"\xff"),)),
        Plain(None, (("kallback-dead-topic", None), ("kallback-dead-offset", b"9" * 5_000))),
    ]
    await attacker.write(letters, odd * 5)
    await attacker.write_records(letters, [RawRecord(Filling(900_000))] * 120, Codec.ZSTD)
    await attacker.write_records(letters, [RawRecord(b"1", headers=[(b"\xff", b"x")])] * 5)
    await attacker.write_records(letters, [RawRecord(b"1", headers=[(b"%d" % n, b"") for n in range(45_000)])])
    listed = await _list(attacker)
    if "\x1b" in listed or "\u202e" in listed:
        attacker.findings.append("a list shows escapes of a dead letter as they are")


async def _list(attacker: Attacker) -> str:
    done = await attacker.command("dead-letters", "list", "--json", limit_s=120)
    if done.exit_code != 0:
        said = [line for line in done.output.splitlines() if not line.startswith("{")]
        attacker.findings.append(f"dead-letters list ended with {done.exit_code}: {said[-3:]}")
    if done.mib > _LIST_MIB or done.seconds > _LIST_S:
        attacker.findings.append(
            f"dead-letters list takes {done.mib:.0f} MiB and {done.seconds:.0f} s, "
            f"{_LIST_MIB:g} MiB and {_LIST_S:g} s are allowed"
        )
    return done.output


ATTACKS: Final = (
    Attack(
        name="forged-dead-letters",
        short=True,
        does="dead letters: forged ones that name other topics, then a replay",
        write=_forged_letters,
    ),
    Attack(name="many-dead-letters", does="dead letters: 200,000, then a list", write=_many_letters),
    Attack(name="odd-dead-letters", does="dead letters: odd ones, then a list", write=_odd_letters),
)
