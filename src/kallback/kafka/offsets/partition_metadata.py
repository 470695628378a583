"""The commit metadata of one partition under one assignment: what earlier owners wrote, what this process adds. Pure.

There are two counts. *Found*: how often other processes started a record without finishing it. *Started*: this process
has started it. A commit during the assignment writes found + 1, so that a process that dies leaves its start behind. A
commit on leaving writes found only: a process that leaves in good order takes its start back, so that a long task
survives any number of deployments.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from kallback.kafka.offsets.commit_metadata import NO_METADATA, CommitMetadata, OffsetRange, decode, encode, merged


class Commit(NamedTuple):
    """What a group commits for a partition."""

    position: int
    metadata: str = ""


NO_COMMIT: Final = Commit(0)
"""Of a group that has committed nothing, or nothing that could be read."""


class PartitionMetadata:
    """The commit metadata of one partition. Not thread-safe: its owner guards it.

    Attributes:
        metadata: the text that Kafka holds, as far as known.
    """

    __slots__ = ("_found", "_position", "_started", "metadata")

    def __init__(self, found: Commit = NO_COMMIT) -> None:
        self.metadata = found.metadata
        self._position = found.position
        self._found = decode(found.position, found.metadata)
        self._started: set[int] = set()

    def restart(self) -> None:
        """Forget what was noted: its offsets belong to other records now."""
        self._found = NO_METADATA
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

    def text(self, delivered: Collection[int], unfinished: Collection[int], *, ahead: int, leaving: bool) -> str:
        """Return the metadata to commit.

        Args:
            delivered: the offsets handed out from the commit position on, in order.
            unfinished: those of them that are not done.
            ahead: the offset after the last one handed out. From there on, what predecessors noted still holds.
            leaving: the partition is given up in good order, so the starts of this process do not count.
        """
        self._started.intersection_update(unfinished)
        deliveries = {at: count for at, count in self._found.deliveries.items() if at >= ahead or at in unfinished}
        if not leaving:
            deliveries.update((at, self.deliveries(at)) for at in self._started)
        still = (each for each in self._found.done if each[1] > ahead)
        position = min(delivered, default=ahead)
        return encode(position, CommitMetadata(merged([*_runs(delivered, unfinished), *still]), deliveries))


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
