"""Compares every result record with its outcome, and every dead letter with the expected ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from demo_board import Check
from demo_invalid_records import ExpectedOutcome, RecordPosition, source_of

from kallback.kafka import DeadLetter, Record, ReplayMarker, UnknownEntry
from kallback.kafka.dead_letters.reader import Entry

_ORDINARY = ("delivered", "duplicate")

Results = Mapping[RecordPosition, Record]
Expected = Mapping[RecordPosition, ExpectedOutcome]


def check_outcomes(results: Results, outcomes: Sequence[Mapping[str, Any]], expected: Expected) -> Check:
    """Compare the outcome records with the result records, and with the expected outcomes."""
    first = {source_of(outcome): str(outcome["outcome"]) for outcome in reversed(outcomes)}
    wrong = [f"no outcome for result record {place}" for place in sorted(results.keys() - first.keys())]
    wrong += [f"an outcome for {place}, where no result record is" for place in sorted(first.keys() - results.keys())]
    wrong += [
        f"no result record where {expected[place].outcome} is expected: {place}"
        for place in expected.keys() - results.keys()
    ]
    for place, kind in sorted({(source_of(outcome), str(outcome["outcome"])) for outcome in outcomes}):
        right = (expected[place].outcome,) if place in expected else _ORDINARY
        if kind not in right:
            wrong.append(f"result record {place} is {kind}, not {' or '.join(right)}")
    counted = ", ".join(f"{count} {kind}" for kind, count in Counter(first.values()).most_common()) or "none"
    again = len(outcomes) - len(first)
    read_again = f"; {again} of them twice, because the bridge was killed before it had committed" if again else ""
    return Check(f"{len(results)} result records, each with its outcome: {counted}{read_again}", tuple(wrong))


def check_dead_letters(entries: Sequence[Entry], results: Results, expected: Expected) -> Check:
    """Compare the dead-letter topic with what is expected: each once, for its reason, byte for byte, and no others."""
    letters = [entry for entry in entries if isinstance(entry, DeadLetter)]
    replayed = {letter for entry in entries if isinstance(entry, ReplayMarker) for letter in entry.letters}
    found = Counter((_source(letter), _label(letter.reason, replayed=letter.id in replayed)) for letter in letters)
    wanted = Counter(
        (position, _label(each.reason, replayed=each.replayed)) for position, each in expected.items() if each.reason
    )
    wrong = [f"not a dead letter: {entry.id}" for entry in entries if isinstance(entry, UnknownEntry)]
    wrong += [f"not expected: {position} as {label}" for position, label in sorted((found - wanted).elements())]
    wrong += [f"missing: {position} as {label}" for position, label in sorted((wanted - found).elements())]
    for letter in letters:
        wrong += _altered(letter, results, replayed=letter.id in replayed)
    labels = Counter(label for _, label in found.elements()).most_common()
    counted = ", ".join(f"{count} {label}" for label, count in labels) or "none"
    return Check(f"{len(letters)} dead letters, as expected and byte for byte: {counted}", tuple(wrong))


def _altered(letter: DeadLetter, results: Results, *, replayed: bool) -> list[str]:
    """What is wrong with a letter's bytes: they lie where it came from, and once more if it was replayed."""
    whole = (letter.key, letter.value, letter.headers)
    places = [place for place, record in results.items() if (record.key, record.value, record.headers) == whole]
    wrong: list[str] = []
    if _source(letter) not in places:
        wrong.append(f"dead letter {letter.id} is not what lies on the results topic at {_source(letter)}")
    if len(places) != 1 + replayed:
        wrong.append(f"dead letter {letter.id} lies on the results topic {len(places)} times, not {1 + replayed}")
    return wrong


def _label(reason: str, *, replayed: bool) -> str:
    return f"{reason} (replayed)" if replayed else reason


def _source(letter: DeadLetter) -> RecordPosition:
    return letter.source.partition, letter.source.offset
