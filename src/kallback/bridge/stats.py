"""What a bridge has done, as plain numbers: read them at any time, export them as you like."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from kallback.bridge.progress_outcome import Fate
from kallback.bridge.results.verify import Target
from kallback.bridge.task_type_stats import Tallies
from kallback.kafka import Record
from kallback.protocol import Outcome


class Settled(msgspec.Struct, frozen=True):
    """What became of one result record; durable when it is told.

    Attributes:
        record: as received.
        outcome: the one thing that became of it.
        reason: why, for every outcome but `delivered` and `duplicate`.
        target: what it completes; None when unverified.
        since: when it was fetched, in seconds of `Clocks.monotonic`.
    """

    record: Record
    outcome: Outcome
    reason: str | None = None
    target: Target | None = None
    since: float = 0.0


@dataclass(slots=True)
class Stats:
    """Counts since the start.

    Attributes:
        fetched: records taken from Kafka, copies included.
        attempts: completions handed to the completer, retries included.
        retries: attempts that Restate did not take.
        outcomes: settled records by outcome.
        reasons: settled records by reason; dead letters are these.
        replies: replies by label: `202`, `429`, `timeout`, `unreachable`, ...
        late_replies: the same of handlers to which late results are handed.
        concurrency: sends that may be under way, now; below the configured number while Restate is crowded.
        tallies: outcomes by task type, and latencies.
        dead_letters: dead letters written, by reason.
        progress: progress records by what became of them.
        write_retries: dead letters and outcome records that Kafka did not take at once.
        away: Restate takes nothing, fetching has stopped, now.
        in_flight: records fetched and not settled, now.
        in_flight_bytes: bytes of their values, now.
    """

    fetched: int = 0
    attempts: int = 0
    retries: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter[Outcome])
    reasons: Counter[str] = field(default_factory=Counter[str])
    replies: Counter[str] = field(default_factory=Counter[str])
    late_replies: Counter[str] = field(default_factory=Counter[str])
    concurrency: int = 0
    tallies: Tallies = field(default_factory=Tallies)
    dead_letters: Counter[str] = field(default_factory=Counter[str])
    progress: Counter[Fate] = field(default_factory=Counter[Fate])
    write_retries: int = 0
    away: bool = False
    in_flight: int = 0
    in_flight_bytes: int = 0

    @property
    def settled(self) -> int:
        """Records with an outcome."""
        return self.outcomes.total()
