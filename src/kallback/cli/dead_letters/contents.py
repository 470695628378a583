"""The first reading of the dead-letter topic: replay markers and counts; no dead letter is kept.

A replay marker comes later in the topic than the dead letters that it names. So a command that prints dead letters as
it reads them has to know the markers before: it reads the topic twice.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kallback.cli.dead_letters.counts import BoundedCounts
from kallback.kafka import DeadLetterId, ReplayMarker
from kallback.kafka.dead_letters.reader import REASON, is_dead_letter, marker_of, read_batches
from kallback.protocol import KallbackError

if TYPE_CHECKING:
    from kallback.cli.dead_letters.factories import KafkaFactories

_SKEW_MS: Final = 300_000
"""The clocks of brokers and processes differ: reading begins this much before the wanted time."""
_MOST_REPLAYED: Final = 1_000_000
"""Ids in replay markers that are kept: about 85 MiB."""


class TooManyMarkersError(KallbackError):
    """The replay markers name more dead letters than one command keeps in memory."""


class ReplayedLetters:
    """Which dead letters were replayed, and when (epoch milliseconds)."""

    def __init__(self) -> None:
        self._at: dict[int, dict[int, int]] = {}
        self._count = 0

    def add(self, marker: ReplayMarker) -> None:
        """Take in a replay marker.

        Raises:
            TooManyMarkersError: more ids than one command keeps.
        """
        for partition, offset in marker.letters:
            self._at.setdefault(partition, {})[offset] = marker.at_ms
        self._count += len(marker.letters)
        if self._count > _MOST_REPLAYED:
            raise TooManyMarkersError(
                f"the replay markers name more than {_MOST_REPLAYED:,} dead letters: read a part of the topic, with "
                "--since; if nobody replayed that many, check who may write to the dead-letter topic"
            )

    def when(self, letter: DeadLetterId) -> int | None:
        """When this dead letter was replayed; None if it was not."""
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
