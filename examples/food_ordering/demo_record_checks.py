"""The bookkeeping of the demo: every result record against its outcome, every dead letter against what was to die."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from demo_board import Check
from demo_rubbish import Fate, Place, source_of

from kallback.kafka import DeadLetter, Record, ReplayMarker, UnknownEntry
from kallback.kafka.dead_letters.reader import Entry

_ORDINARY = ("delivered", "duplicate")

Results = Mapping[Place, Record]


def account(results: Results, outcomes: Sequence[Mapping[str, Any]], fates: Mapping[Place, Fate]) -> Check:
    """Hold the outcome records against the result records, and against what was to become of those."""
    first = {source_of(outcome): str(outcome["outcome"]) for outcome in reversed(outcomes)}
    wrong = [f"no outcome for result record {place}" for place in sorted(results.keys() - first.keys())]
    wrong += [f"an outcome for {place}, where no result record is" for place in sorted(first.keys() - results.keys())]
    wrong += [
        f"no result record where {fates[place].outcome} was to be: {place}" for place in fates.keys() - results.keys()
    ]
    for place, kind in sorted({(source_of(outcome), str(outcome["outcome"])) for outcome in outcomes}):
        right = (fates[place].outcome,) if place in fates else _ORDINARY
        if kind not in right:
            wrong.append(f"result record {place} is {kind}, not {' or '.join(right)}")
    counted = ", ".join(f"{count} {kind}" for kind, count in Counter(first.values()).most_common()) or "none"
    again = len(outcomes) - len(first)
    read_again = f"; {again} of them twice, as the bridge was killed before it had committed" if again else ""
    return Check(f"{len(results)} result records, each accounted for: {counted}{read_again}", tuple(wrong))


def bury(entries: Sequence[Entry], results: Results, fates: Mapping[Place, Fate]) -> Check:
    """Hold the dead-letter topic against what was to die: each once, for the right reason, whole, and none besides."""
    letters = [entry for entry in entries if isinstance(entry, DeadLetter)]
    replayed = {letter for entry in entries if isinstance(entry, ReplayMarker) for letter in entry.letters}
    found = Counter((_source(letter), _death(letter.reason, replayed=letter.id in replayed)) for letter in letters)
    to_die = [(place, fate) for place, fate in fates.items() if fate.reason]
    expected = Counter((place, _death(fate.reason, replayed=fate.replayed)) for place, fate in to_die)
    wrong = [f"not a dead letter: {entry.id}" for entry in entries if isinstance(entry, UnknownEntry)]
    wrong += [f"not expected: {place} as {death}" for place, death in sorted((found - expected).elements())]
    wrong += [f"missing: {place} as {death}" for place, death in sorted((expected - found).elements())]
    for letter in letters:
        wrong += _altered(letter, results, replayed=letter.id in replayed)
    deaths = Counter(death for _, death in found.elements()).most_common()
    counted = ", ".join(f"{count} {death}" for death, count in deaths) or "none"
    return Check(f"{len(letters)} dead letters, expected and whole: {counted}", tuple(wrong))


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


def _death(reason: str, *, replayed: bool) -> str:
    return f"{reason} (replayed)" if replayed else reason


def _source(letter: DeadLetter) -> Place:
    return letter.source.partition, letter.source.offset
