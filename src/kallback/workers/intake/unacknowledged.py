"""Results that wait for Kafka's acknowledgement and take no slot. Pure; owned by the loop.

Slots bound what runs. A function that has returned runs no more, and its result waits only for Kafka: its slot may be
given to the next task meanwhile. The bound, in results and in bytes, keeps an outage of Kafka from filling the memory:
beyond it a result keeps its slot, and so fetching ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kallback.workers.intake.scheduler import Slot

_MOST_BYTES: Final = 1024 * 1024
"""Of results and of the records that they answer, which are kept for as long."""


@dataclass(slots=True)
class HeldSlot:
    """The slot of an attempt, held until its result is sent or, beyond the bound, until the attempt has ended.

    Attributes:
        unacknowledged: bytes that are counted in its place since it was given back; None while it is held.
    """

    slot: Slot
    unacknowledged: int | None = None


class UnacknowledgedResults:
    """Counts them.

    Args:
        most: how many.
        most_bytes: how many bytes they and their tasks' records may have together.
    """

    def __init__(self, most: int, most_bytes: int = _MOST_BYTES) -> None:
        self._most: Final = most
        self._most_bytes: Final = most_bytes
        self._bytes = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def try_add(self, size: int) -> bool:
        """Count a result of so many bytes, its task's record included; return False if it is to keep its slot."""
        if self._count >= self._most or self._bytes + size > self._most_bytes:
            return False
        self._count += 1
        self._bytes += size
        return True

    def remove(self, size: int) -> None:
        """Kafka has acknowledged a result that was counted, or its attempt has ended otherwise."""
        self._count -= 1
        self._bytes -= size
