"""The first reading of the dead-letter topic: replay markers and counts; no dead letter is kept.

A replay marker comes later in the topic than the dead letters that it names. So a command that prints dead letters as
it reads them has to know the markers before: it reads the topic twice.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from kallback.cli.dead_letters.counts import BoundedCounts
from kallback.kafka import DeadLetterId, ReplayMarker
from kallback.kafka.dead_letters.reader import REASON, is_dead_letter, marker_of, read_batches
from kallback.protocol import KallbackError
from kallback.protocol.by_hand import Operator

if TYPE_CHECKING:
    from kallback.cli.dead_letters.factories import KafkaFactories

_SKEW_MS: Final = 300_000
"""The clocks of brokers and processes differ: reading begins this much before the wanted time."""
_MOST_REPLAYED: Final = 1_000_000
"""Ids in replay markers that are kept: about 85 MiB, and 1.3 MiB for the names."""


_MOST_OPERATORS: Final = 1000


class TooManyMarkersError(KallbackError):
    """The replay markers name more dead letters than one command keeps in memory."""


class Replay(NamedTuple):
    """When a dead letter was replayed (epoch milliseconds), and by whom; those of one marker share it."""

    at_ms: int
    operator: Operator | None = None


class ReplayedLetters:
    """Which dead letters were replayed, when, and by whom."""

    def __init__(self) -> None:
        self._at: dict[int, dict[int, Replay]] = {}
        self._count = 0
        self._operators: dict[Operator, Operator] = {}

    def add(self, marker: ReplayMarker) -> None:
        """Take in a replay marker.

        Raises:
            TooManyMarkersError: more ids than one command keeps.
        """
        replay = Replay(marker.at_ms, self._known(marker.operator))
        for partition, offset in marker.letters:
            own = self._at.setdefault(partition, {})
            if offset not in own or own[offset].at_ms <= replay.at_ms:  # markers come in the order of partitions
                own[offset] = replay
        self._count += len(marker.letters)
        if self._count > _MOST_REPLAYED:
            raise TooManyMarkersError(
                f"the replay markers name more than {_MOST_REPLAYED:,} dead letters: read a part of the topic, with "
                "--since; if nobody replayed that many, check who may write to the dead-letter topic"
            )

    def _known(self, operator: Operator | None) -> Operator | None:
        """The same operator, kept once; names beyond the first 1,000, which no team has, are forgotten."""
        if operator is None or (operator not in self._operators and len(self._operators) >= _MOST_OPERATORS):
            return None
        return self._operators.setdefault(operator, operator)

    def copy(self, letter: DeadLetterId, others: ReplayedLetters) -> None:
        """Take in what others know of one dead letter."""
        if (replay := others.find(letter)) is not None:
            self._at.setdefault(letter.partition, {})[letter.offset] = replay

    def find(self, letter: DeadLetterId) -> Replay | None:
        """When and by whom this dead letter was last replayed; None if it was not."""
        return self._at.get(letter.partition, {}).get(letter.offset)


@dataclass(slots=True)
class TopicContents:
    """What the topic contains.

    Attributes:
        replayed: what the replay markers name.
        reasons: number of dead letters by reason.
        unknown: number of records that kallback did not write.
    """

    replayed: ReplayedLetters = field(default_factory=ReplayedLetters)
    reasons: BoundedCounts = field(default_factory=BoundedCounts)
    unknown: int = 0


async def read_contents(clients: KafkaFactories, topic: str, since_ms: int | None) -> TopicContents:
    """Read every record once; a bound on the time is that of the wanted dead letters."""
    found = TopicContents()
    async with aclosing(read_batches(clients.reader(topic, begin_of(since_ms)))) as batches:
        async for records in batches:
            for record in records:
                facts = dict(record.headers)
                if is_dead_letter(facts):
                    found.reasons.add((facts[REASON] or b"").decode("utf-8", "replace"))
                elif (marker := marker_of(record)) is not None:
                    found.replayed.add(marker)
                else:
                    found.unknown += 1
    return found


def begin_of(since_ms: int | None) -> int | None:
    """Where in time reading begins, if dead letters from a time on are wanted."""
    return None if since_ms is None else max(0, since_ms - _SKEW_MS)
