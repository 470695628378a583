"""What a bridge has done, as plain numbers: read them at any time, export them as you like.

Per record, counting costs well under a microsecond: plain dicts and lists. Task types come from verified tokens only,
so only a holder of a key can add labels; their number is bounded all the same. Labels in parentheses are reserved:
a task type cannot have such a name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import msgspec

from kallback.health.histograms import Histogram
from kallback.kafka.records import Record
from kallback.protocol import Outcome, Token
from kallback.protocol.verification import Target

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the buckets, seconds: from the few milliseconds of an idle bridge to a long outage."""
MOST_TYPES: Final = 100
UNVERIFIED: Final = "(unverified)"
BARE: Final = "(bare)"
OTHER: Final = "(other)"


class Settled(msgspec.Struct, frozen=True):
    """What became of a result record; durable when it is reported.

    Attributes:
        record: as received.
        outcome: its one outcome.
        reason: why, for every outcome but `delivered` and `duplicate`.
        target: what it completes; None when unverified.
        since: when it was fetched, in seconds of `Clocks.monotonic`.
        count: how many records with consecutive offsets it stands for: more than 1 for refused ones in a flood.
    """

    record: Record
    outcome: Outcome
    reason: str | None = None
    target: Target | None = None
    since: float = 0.0
    count: int = 1


class ProgressOutcome(StrEnum):
    """What became of a progress record; labels of a metric."""

    FORWARDED = "forwarded"
    """Restate has accepted it."""
    COALESCED = "coalesced"
    """A newer one of the same task replaced it."""
    UNVERIFIED = "unverified"
    """It is not authenticated."""
    INVALID = "invalid"
    """The token is valid, the rest is not."""
    LATE = "late"
    """Its attempt's deadline has passed."""
    REFUSED = "refused"
    """Restate or the service refuses it for good."""
    UNWATCHED = "unwatched"
    """Restate has no `TaskMonitor`: progress is not used."""


class TaskTypeStats:
    """Outcomes and latencies by task type.

    Args:
        most_types: task types that get a label of their own; the rest share `(other)`.

    Attributes:
        settled: records by task type, outcome and reason.
        latencies: seconds from a record's timestamp to the accepted completion, by task type.
    """

    __slots__ = ("_most_types", "_types", "latencies", "settled")

    def __init__(self, most_types: int = MOST_TYPES) -> None:
        self._most_types = most_types
        self._types: set[str] = set()
        self.settled: dict[tuple[str, Outcome, str | None], int] = {}
        self.latencies: dict[str, Histogram] = {}

    def settle(self, target: Target | None, outcome: Outcome, reason: str | None, count: int = 1) -> None:
        """A record has its outcome, or `count` of them have the same one."""
        key = (target.task_type if type(target) is Token else _label(target), outcome, reason)
        try:
            self.settled[key] += count
        except KeyError:
            key = (self._admit(key[0]), outcome, reason)
            self.settled[key] = self.settled.get(key, 0) + count

    def accept(self, target: Target, written_ms: int, now: float) -> None:
        """Restate has taken a completion whose record was written at `written_ms`; clocks that differ give zero."""
        seconds = now - written_ms / 1000
        label = target.task_type if type(target) is Token else _label(target)
        try:
            histogram = self.latencies[label]
        except KeyError:
            histogram = self.latencies.setdefault(self._admit(label), Histogram(BOUNDS))
        histogram.observe(max(seconds, 0.0))

    def _admit(self, label: str) -> str:
        if label.startswith("(") or label in self._types:
            return label
        if len(self._types) >= self._most_types:
            return OTHER
        self._types.add(label)
        return label


def _label(target: Target | None) -> str:
    """Of what has no task type."""
    return UNVERIFIED if target is None else BARE


@dataclass(slots=True)
class Stats:
    """Counts since the start.

    Attributes:
        fetched: records taken from Kafka, duplicates included.
        attempts: completions handed to the completer, retries included.
        retries: attempts that Restate did not take.
        outcomes: settled records by outcome.
        reasons: settled records by reason; dead letters are these.
        replies: replies by label: `202`, `429`, `timeout`, `unreachable`, ...
        late_replies: the same of handlers to which late results are handed.
        concurrency: sends that may run concurrently, now; below the configured number while Restate is overloaded.
        by_task_type: outcomes by task type, and latencies.
        dead_letters: dead letters written, by reason; a summary counts once.
        summarized: records that summaries count, by reason.
        progress: progress records by what became of them.
        write_retries: dead letters and outcome records that Kafka did not take at once.
        refused_writes: what to tell the operator about each topic that the bridge writes to, while it refuses records
            (the permission or the topic is missing); None while it takes them, as far as known.
        undelivered: what to tell the operator, while for longer than `BridgeOptions.misconfigured_after` nothing but
            failures arrives that do not concern a record; None otherwise.
        restate_unseen: nothing of Restate has answered since the start.
        services_taken_over: what to tell the operator, while a Restate service that was this bridge's own belongs to
            another environment, as far as known; None otherwise.
        progress_refused: whether that is the one which takes progress, now.
        unavailable: Restate takes nothing, fetching has stopped, now.
        in_flight: records fetched and not settled, now.
        in_flight_bytes: bytes of memory that they take, about, now.
        set_aside: records that wait for their summary, now; of them only the position is held.
    """

    fetched: int = 0
    attempts: int = 0
    retries: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter[Outcome])
    reasons: Counter[str] = field(default_factory=Counter[str])
    replies: Counter[str] = field(default_factory=Counter[str])
    late_replies: Counter[str] = field(default_factory=Counter[str])
    concurrency: int = 0
    by_task_type: TaskTypeStats = field(default_factory=TaskTypeStats)
    dead_letters: Counter[str] = field(default_factory=Counter[str])
    summarized: Counter[str] = field(default_factory=Counter[str])
    progress: Counter[ProgressOutcome] = field(default_factory=Counter[ProgressOutcome])
    write_retries: int = 0
    refused_writes: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    undelivered: str | None = None
    restate_unseen: bool = False
    services_taken_over: str | None = None
    progress_refused: bool = False
    unavailable: bool = False
    in_flight: int = 0
    in_flight_bytes: int = 0
    set_aside: int = 0

    @property
    def settled(self) -> int:
        """Records with an outcome."""
        return self.outcomes.total()
