"""What a replay will send, found in one reading of the dead-letter topic: 24 bytes for each dead letter.

The replay markers come later in the topic than the dead letters that they name, so the plan is known at the end of the
reading. The dead letters themselves are read a second time, while they are sent: the topic can be larger than the
memory, and nothing that arrives in between is part of the plan.
"""

from __future__ import annotations

import heapq
import time
from array import array
from bisect import bisect_left
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from kallback.cli.dead_letters.contents import ReplayedLetters, begin_of
from kallback.cli.dead_letters.counts import OTHERS, BoundedCounts
from kallback.cli.dead_letters.factories import KafkaFactories
from kallback.cli.dead_letters.rows import Selection, row_of
from kallback.kafka import DeadLetter, DeadLetterId, Hidden, Missing, ReplayMarker, read_entries
from kallback.operations.replay_checks import MaySend, MustNotSend, ReplayRules, ReplayVerdict, check_letter
from kallback.protocol import MissingTopicError

_MOST_KINDS: Final = 1000
"""Combinations of reason and decision; the writer of a record chooses both."""
_TOO_MANY: Final = MustNotSend("there are too many different reasons and sources: select some with --reason or --topic")
_LONGEST_REASON: Final = 100
_FEW: Final = 10_000
"""Up to so many, a heap takes less memory and time than sorting all."""


@dataclass(frozen=True, slots=True)
class UnusableTopic:
    """It is not sent: a topic that it goes to, or that its record is read from, does not exist or is hidden."""

    found: Missing | Hidden


PlanVerdict = ReplayVerdict | UnusableTopic


class PlannedKind(NamedTuple):
    """What many dead letters have in common."""

    reason: str
    verdict: PlanVerdict


@dataclass(slots=True)
class KindCount:
    """How many dead letters are of a kind, and one of them."""

    example: DeadLetterId
    count: int = 0


class _PendingLetter(NamedTuple):
    """A selected dead letter that was not replayed, or is to be replayed again."""

    at_ms: int
    partition: int
    offset: int
    kind: int


@dataclass(slots=True)
class _PlannedPartition:
    """The selected dead letters of one partition, in the order of their offsets."""

    offsets: array[int] = field(default_factory=lambda: array("q"))
    times_ms: array[int] = field(default_factory=lambda: array("q"))
    kinds: array[int] = field(default_factory=lambda: array("q"))


@dataclass(slots=True)
class ChosenLetters:
    """The dead letters that are sent.

    Attributes:
        late: number of those whose deadline has passed, as far as tokens were verified.
        offsets: by partition, ascending.
        since_ms: none of them was written earlier.
        read_ms: when the topic was read, epoch milliseconds.
        replayed: those of them that were replayed before, and are to be replayed again.
    """

    total: int = 0
    verified: int = 0
    late: int = 0
    since_ms: int | None = None
    read_ms: int = 0
    replayed: ReplayedLetters = field(default_factory=ReplayedLetters)
    offsets: dict[int, array[int]] = field(default_factory=dict[int, "array[int]"])
    reasons: BoundedCounts = field(default_factory=BoundedCounts)
    targets: BoundedCounts = field(default_factory=BoundedCounts)

    def __contains__(self, letter: DeadLetterId) -> bool:
        """Whether a dead letter is one of them."""
        offsets = self.offsets.get(letter.partition, ())
        index = bisect_left(offsets, letter.offset)
        return index < len(offsets) and offsets[index] == letter.offset

    def is_news(self, letter: DeadLetterId, at_ms: int) -> bool:
        """Whether a replay at a time (epoch milliseconds) of one of them was not known when they were chosen."""
        known = self.replayed.find(letter)
        return letter in self and (known is None or known.at_ms < at_ms)


class ReplayPlan:
    """The selected dead letters and what is decided about them.

    Args:
        again: include those that were replayed.
        there: topics that exist. However many other names a forger writes, what goes to these is sent.
        read_ms: when the topic is read, epoch milliseconds.
    """

    def __init__(self, *, again: bool, there: Collection[str] = (), read_ms: int = 0) -> None:
        self._again = again
        self._read_ms = read_ms
        self._there = frozenset(there)
        self._partitions: dict[int, _PlannedPartition] = {}
        self._kinds: list[PlannedKind] = []
        self._numbers: dict[PlannedKind, int] = {}
        self._since_ms: int | None = None
        self.replayed = ReplayedLetters()

    def unknown_topics(self) -> set[str]:
        """Topics that the dead letters which may be sent need, of which it is not known that they exist."""
        may = [kind.verdict for kind in self._kinds if isinstance(kind.verdict, MaySend)]
        return {name for each in may for name in _needed(each)} - self._there

    def leave_out(self, unusable: Iterable[Missing | Hidden]) -> None:
        """Send nothing that needs one of these topics."""
        found = {each.name: each for each in unusable}
        for number, (reason, verdict) in enumerate(self._kinds):
            if isinstance(verdict, MaySend) and (names := _needed(verdict) & found.keys()):
                self._kinds[number] = PlannedKind(reason, UnusableTopic(found[min(names)]))

    def add(self, letter: DeadLetter, verdict: ReplayVerdict) -> None:
        """Take in a selected dead letter; those of a partition come in the order of their offsets."""
        rows = self._partitions.setdefault(letter.id.partition, _PlannedPartition())
        rows.offsets.append(letter.id.offset)
        rows.times_ms.append(letter.at_ms)
        rows.kinds.append(self._number(PlannedKind(letter.reason[:_LONGEST_REASON], verdict)))
        self._since_ms = letter.written_ms if self._since_ms is None else min(self._since_ms, letter.written_ms)

    def _number(self, kind: PlannedKind) -> int:
        if kind not in self._numbers:
            if len(self._kinds) >= _MOST_KINDS:
                is_sendable = isinstance(kind.verdict, MaySend) and _needed(kind.verdict) <= self._there
                kind = PlannedKind(OTHERS, kind.verdict if is_sendable else _TOO_MANY)
            if kind not in self._numbers:
                self._numbers[kind] = len(self._kinds)
                self._kinds.append(kind)
        return self._numbers[kind]

    def already_replayed(self) -> int:
        """The number of selected dead letters that are left out, because they were replayed."""
        return sum(len(rows.offsets) for rows in self._partitions.values()) - sum(1 for _ in self._pending())

    def missing(self, ids: frozenset[DeadLetterId]) -> list[DeadLetterId]:
        """Those of some ids that were not selected."""
        return sorted(
            each for each in ids if each.offset not in self._partitions.get(each.partition, _PlannedPartition()).offsets
        )

    def kinds(self) -> dict[PlannedKind, KindCount]:
        """Count what is left to decide about or to send, by kind."""
        found: dict[PlannedKind, KindCount] = {}
        for row in self._pending():
            example = DeadLetterId(row.partition, row.offset)
            found.setdefault(self._kinds[row.kind], KindCount(example)).count += 1
        return found

    def choose(self, limit: int | None) -> ChosenLetters:
        """Return what may be sent; of more than the limit, those that were dead-lettered first."""
        rows = self._sendable()
        if limit is not None:
            rows = _oldest(rows, _oldest_times((row.at_ms for row in self._sendable()), limit))
        chosen = ChosenLetters(since_ms=self._since_ms, read_ms=self._read_ms)
        for row in rows:
            reason, verdict = self._kinds[row.kind]
            if self._again:
                chosen.replayed.copy(DeadLetterId(row.partition, row.offset), self.replayed)
            chosen.total += 1
            chosen.offsets.setdefault(row.partition, array("q")).append(row.offset)
            chosen.reasons.add(reason)
            if isinstance(verdict, MaySend):
                chosen.targets.add(verdict.topic)
                chosen.verified += verdict.is_verified
                chosen.late += verdict.is_late
        return chosen

    def _sendable(self) -> Iterator[_PendingLetter]:
        return (row for row in self._pending() if isinstance(self._kinds[row.kind].verdict, MaySend))

    def _pending(self) -> Iterator[_PendingLetter]:
        """Return them in the order of partitions and offsets."""
        for partition, rows in sorted(self._partitions.items()):
            for offset, at_ms, kind in zip(rows.offsets, rows.times_ms, rows.kinds, strict=True):
                if self._again or self.replayed.find(DeadLetterId(partition, offset)) is None:
                    yield _PendingLetter(at_ms, partition, offset, kind)


def _needed(verdict: MaySend) -> set[str]:
    """The topic that a dead letter goes to, and the one that its record is read from."""
    return {verdict.topic} if verdict.read_from is None else {verdict.topic, verdict.read_from}


def _oldest_times(times_ms: Iterator[int], limit: int) -> list[int]:
    """Return the smallest times, ascending. Numbers alone: rows would take six times the memory."""
    return heapq.nsmallest(limit, times_ms) if limit <= _FEW else sorted(times_ms)[:limit]


def _oldest(rows: Iterator[_PendingLetter], times_ms: list[int]) -> Iterator[_PendingLetter]:
    """Return the rows of these times; of those of the last time, so many as it occurs, the first of them."""
    last_ms = times_ms[-1] if times_ms else 0
    left = len(times_ms) - bisect_left(times_ms, last_ms)
    for row in rows:
        if row.at_ms < last_ms:
            yield row
        elif row.at_ms == last_ms and left:
            left -= 1
            yield row


async def read_plan(
    clients: KafkaFactories, topic: str, selection: Selection, rules: ReplayRules, *, again: bool
) -> ReplayPlan:
    """Read the dead-letter topic and decide about each selected dead letter, with the deadlines as they are now.

    What needs a topic that does not exist is not sent: a broker may create it. It keeps nothing else from being sent,
    because anyone who may write dead letters names topics.

    Raises:
        MissingTopicError: the topic that the operator names for all does not exist.
    """
    now_ms = int(time.time() * 1000)
    plan = ReplayPlan(again=again, there=await clients.list_topics(), read_ms=now_ms)
    rules = replace(rules, now_ms=now_ms)
    async with aclosing(read_entries(clients.reader(topic, begin_of(selection.since_ms)))) as entries:
        async for entry in entries:
            if isinstance(entry, DeadLetter):
                if selection.admits(row_of(entry)):
                    plan.add(entry, check_letter(entry, rules))
            elif isinstance(entry, ReplayMarker):
                plan.replayed.add(entry)
    unusable = await clients.find_missing(plan.unknown_topics())
    if Missing(rules.to or "") in unusable:
        raise MissingTopicError(f"topic {rules.to!r} does not exist; create it with: kallback topics create {rules.to}")
    plan.leave_out(unusable)
    return plan


async def read_replayed_since(clients: KafkaFactories, topic: str, chosen: ChosenLetters) -> set[DeadLetterId]:
    """Read which of the chosen dead letters another replay has sent since they were chosen."""
    found = set[DeadLetterId]()
    async with aclosing(read_entries(clients.reader(topic, begin_of(chosen.read_ms)))) as entries:
        async for entry in entries:
            if isinstance(entry, ReplayMarker):
                found |= {each for each in entry.letters if chosen.is_news(each, entry.at_ms)}
    return found


async def read_chosen(clients: KafkaFactories, topic: str, chosen: ChosenLetters) -> AsyncGenerator[DeadLetter]:
    """Read the chosen dead letters again, with their values and headers."""
    left = chosen.total
    async with aclosing(read_entries(clients.reader(topic, chosen.since_ms))) as entries:
        async for entry in entries:
            if isinstance(entry, DeadLetter) and entry.id in chosen:
                yield entry
                left -= 1
                if not left:
                    return
