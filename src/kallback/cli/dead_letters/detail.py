"""One dead letter in full: what it is, what its reason means, what to do. Tokens are shortened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from kallback.cli.dead_letters.contents import Replay
from kallback.cli.dead_letters.reason_help import REASON_HELP, UNKNOWN_REASON, entry_of, is_replay_useless
from kallback.cli.dead_letters.rows import replay_words, row_of
from kallback.cli.dead_letters.sending import doubt_words
from kallback.cli.formatting import moment, plain, readable, size
from kallback.cli.tables import print_facts
from kallback.durations import span
from kallback.kafka import DeadLetter, MissingValue
from kallback.operations.replay_checks import NeedsTopic, ReplayRules, check_letter, signed_type
from kallback.protocol import shorten
from kallback.protocol.headers import SPRING_CORRELATION_ID, TOKEN

_TOKEN_HEADERS: Final = frozenset({TOKEN, SPRING_CORRELATION_ID})
_LONGEST_LINE: Final = 400
_LONGEST_VALUE: Final = 2000
"""Characters that are shown; longer texts are cut."""
_WHOLE: Final = 1 << 30


def print_letter(
    letter: DeadLetter, whole: DeadLetter | MissingValue, rules: ReplayRules, *, replay: Replay | None, now_ms: int
) -> None:
    """Print a letter.

    Args:
        letter: as it is in the topic.
        whole: the same letter with its record, if the record still exists.
        rules: what a replay without options may send.
        replay: when it was replayed.
        now_ms: the time now.
    """
    click.echo(f"dead letter {letter.id}")
    print_facts(_facts(letter, rules, replay, now_ms))
    click.echo()
    if isinstance(whole, MissingValue):
        click.echo(f"The record cannot be replayed: {plain(whole.why)}.")
        return
    if letter.stub_bytes is not None:
        click.echo("The value was too large for the dead-letter topic. The source topic still has the record:")
    print_facts(_record(whole))


def members_of(
    letter: DeadLetter, whole: DeadLetter | MissingValue, rules: ReplayRules, *, replay: Replay | None
) -> dict[str, Any]:
    """Return a letter as an object for programs; tokens are shortened, bytes that are not UTF-8 are hexadecimal."""
    reason = REASON_HELP.get(letter.reason, UNKNOWN_REASON)
    help_ = {"meaning": reason.meaning, "remedy": _remedy(letter, rules), "help": entry_of(letter.reason)}
    members = row_of(letter).members(replay) | help_
    if isinstance(whole, MissingValue):
        return members | {"missing": plain(whole.why)}
    return members | {
        "key": None if whole.key is None else readable(whole.key, longest=_WHOLE, lines=True),
        "headers": [[plain(name), None if value is None else _header(name, value)] for name, value in whole.headers],
        "value": None if whole.value is None else readable(whole.value, longest=_WHOLE, lines=True),
    }


def _facts(letter: DeadLetter, rules: ReplayRules, replay: Replay | None, now_ms: int) -> Iterator[tuple[str, str]]:
    row = row_of(letter)
    help_text = REASON_HELP.get(letter.reason, UNKNOWN_REASON)
    group = f"by {letter.group}" if letter.group else "by an unknown group"
    yield "reason", plain(letter.reason)
    yield "detail", plain(letter.detail or "-")
    yield "meaning", help_text.meaning
    yield "remedy", _remedy(letter, rules)
    yield "help", entry_of(letter.reason)
    yield "written", plain(f"{moment(letter.at_ms)}, {span(now_ms - letter.at_ms)} ago, {group}")
    if letter.summary is not None:
        yield "records", f"{letter.count:,}: a summary; the record below is the first of them"
    yield "source", plain(f"{letter.source}, {moment(letter.source_ms)}")
    yield "type", _type_words(row.task_type, signed_type(letter, rules))
    yield "replayed", replay_words(replay)


def _type_words(claimed: str | None, signed: str | None) -> str:
    """The task type, and whether the token of the record says it."""
    if signed is None:
        return plain(f"{claimed} (claimed by the record, not verified)") if claimed else "unknown"
    if claimed in {None, signed}:
        return plain(f"{signed} (in its token, which is valid here)")
    return plain(f"{signed} (in its token, which is valid here; the record claims {claimed})")


def _remedy(letter: DeadLetter, rules: ReplayRules) -> str:
    """What an operator can do; where a replay helps, with the topic that it must be allowed."""
    remedy = REASON_HELP.get(letter.reason, UNKNOWN_REASON).remedy
    if is_replay_useless(letter.reason) or not isinstance(verdict := check_letter(letter, rules), NeedsTopic):
        return remedy
    topic = plain(verdict.topic)
    return f"{remedy} A replay needs --allow-topic {topic}, if it is one of yours: {doubt_words(topic, verdict.doubt)}."


def _record(letter: DeadLetter) -> Iterator[tuple[str, str]]:
    yield "key", "none" if letter.key is None else readable(letter.key, longest=_LONGEST_LINE)
    width = max((len(plain(name)) for name, _ in letter.headers), default=0)
    lines = (
        f"{plain(name):<{width}}  {'(null)' if value is None else _header(name, value)}"
        for name, value in letter.headers
    )
    yield "headers", "\n".join(lines) or "none"
    if letter.value is None:
        yield "value", "none (a tombstone)"
        return
    cut = "; --raw-value FILE writes all of it" if len(letter.value) > _LONGEST_VALUE else ""
    yield "value", f"{size(len(letter.value))}{cut}"
    yield "", readable(letter.value, longest=_LONGEST_VALUE, lines=True)


def _header(name: str, value: bytes) -> str:
    if name in _TOKEN_HEADERS:
        return plain(shorten(value.decode("utf-8", "replace")))
    return readable(value, longest=_LONGEST_LINE)
