"""The commit metadata of one partition under one assignment: what earlier owners wrote, what this process adds. Pure.

There are two counts. *Found*: how often other processes started a record without finishing it. *Started*: this process
has started it. A commit during the assignment writes found + 1, so that a process that dies leaves its start behind. A
commit on leaving writes found only: a process that leaves in good order takes its start back, so that a long task
survives any number of deployments.

A process that dies at once of a record leaves no start behind, as commits happen on a timer. But it leaves word that it
was at work, and its successor is *in doubt*: for a while it commits each start before the work begins. So nobody waits
for commits after a process that has left in good order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final, NamedTuple

from kallback.kafka.offsets.commit_metadata import (
    MAX_TEXT,
    NO_METADATA,
    CommitMetadata,
    OffsetRange,
    decode,
    encode,
    merged,
    says_at_work,
)


class Commit(NamedTuple):
    """What a group commits for a partition."""

    position: int
    metadata: str = ""


NO_COMMIT: Final = Commit(0)
"""Of a group that has committed nothing, or nothing that could be read."""

ANY_END: Final = 2**63 - 1
"""In place of a log's end that is not known."""


def found_commit(position: int, metadata: str) -> Commit:
    """Return what Kafka says a group has committed; a text that is too long for any of ours is not kept."""
    return Commit(position, metadata if len(metadata) <= MAX_TEXT else "")


class PartitionMetadata:
    """The commit metadata of one partition. Not thread-safe: its owner guards it.

    Args:
        found: what the group has committed.
        log_end: the offset after the last record of the log: nothing that was noted of later ones holds.
        doubt_s: seconds from the first start on for which what a dead predecessor did comes again.
        monotonic: seconds that only grow. By default they stand still: doubt does not end.

    Attributes:
        metadata: the text that Kafka holds, as far as known.
    """

    __slots__ = ("_doubt_s", "_first_start", "_found", "_monotonic", "_own", "_position", "_started", "metadata")

    def __init__(
        self,
        found: Commit = NO_COMMIT,
        *,
        log_end: int = ANY_END,
        doubt_s: float = 0.0,
        monotonic: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.metadata = found.metadata
        self._own = False  # Kafka holds a text of this assignment
        self._doubt_s = doubt_s
        self._monotonic = monotonic
        self._first_start: float | None = None
        self._position = found.position
        self._found = decode(found.position, found.metadata).below(log_end)
        self._started: set[int] = set()

    def restart(self) -> None:
        """Forget what was noted: its offsets belong to other records now."""
        self._found = NO_METADATA
        self._first_start = None
        self._own = False
        self._started.clear()

    def is_done(self, offset: int) -> bool:
        """Whether a predecessor has finished a record; asked in the order of offsets.

        One below the predecessor's position means that the log was cut back: what was noted is of other records.
        """
        if offset < self._position:
            self._position = 0
            self.restart()
        return self._found.is_done(offset)

    def deliveries(self, offset: int) -> int:
        """How often a record is started, the time to come included."""
        return self._found.deliveries.get(offset, 0) + 1

    def started(self, offset: int) -> None:
        """Note that this process has begun a record."""
        self._started.add(offset)
        if self._first_start is None:
            self._first_start = self._monotonic()

    def acknowledge(self, text: str) -> None:
        """Note what Kafka holds."""
        self.metadata = text
        self._own = True

    def must_commit_starts(self) -> bool:
        """Whether work waits until its start is committed: in doubt, and until Kafka knows that this process works."""
        return self._is_in_doubt() or not (self._own and says_at_work(self.metadata))

    def _is_in_doubt(self) -> bool:
        since = self._first_start
        return self._found.at_work and (since is None or self._monotonic() - since < self._doubt_s)

    def text(self, delivered: Collection[int], unfinished: Collection[int], *, ahead: int, leaving: bool) -> str:
        """Return the metadata to commit.

        Args:
            delivered: the offsets handed out from the commit position on, in order.
            unfinished: those of them that are not done.
            ahead: the offset after the last one handed out. From there on, what predecessors noted still holds.
            leaving: the partition is given up in good order, so the starts of this process do not count. The next owner
                is in doubt only if this one is.
        """
        self._started.intersection_update(unfinished)
        deliveries = {at: count for at, count in self._found.deliveries.items() if at >= ahead or at in unfinished}
        if not leaving:
            deliveries.update((at, self.deliveries(at)) for at in self._started)
        still = (each for each in self._found.done if each[1] > ahead)
        position = min(delivered, default=ahead)
        at_work = self._is_in_doubt() or (self._first_start is not None and not leaving)
        return encode(position, CommitMetadata(merged([*_runs(delivered, unfinished), *still]), deliveries, at_work))


def _runs(delivered: Iterable[int], unfinished: Collection[int]) -> list[OffsetRange]:
    """Return the done offsets as ranges; one also spans what Kafka never delivers, such as transaction markers."""
    runs: list[OffsetRange] = []
    goes_on = False
    for offset in delivered:
        if offset in unfinished:
            goes_on = False
        elif goes_on:
            runs[-1] = (runs[-1][0], offset + 1)
        else:
            runs.append((offset, offset + 1))
            goes_on = True
    return runs
