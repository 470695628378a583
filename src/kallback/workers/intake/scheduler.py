"""Which work may begin: the total, the limits of task types, and the order within a key. Pure; owned by the loop.

Work that may not begin yet is *held*, in the order of its arrival; whatever leaves makes room for the oldest held
work that now may begin. A full type or a busy key holds back its own work only.

Work of one key runs in order: the first piece of a key runs or is next, the others wait in the *queue* of that key.
So finding the next work looks at one piece per task type, however much is held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

Work = TypeVar("Work")


class Slot(NamedTuple):
    """What a piece of work needs to begin.

    Attributes:
        task_type: counts against this type's limit; None counts against the total only.
        key_queue: what has the same key_queue runs one after another; None for no order.
    """

    task_type: str | None = None
    key_queue: Hashable = None


class _Entry(NamedTuple, Generic[Work]):
    arrival: int
    slot: Slot
    work: Work


class Scheduled(NamedTuple, Generic[Work]):
    """Held work that may begin now; its slot is taken."""

    slot: Slot
    work: Work


@dataclass(slots=True)
class Scheduler(Generic[Work]):
    """The books of what runs and what is held.

    Attributes:
        total: so many may run at a time.
        limits: so many of a type; a type that is not in it has no limit of its own.
    """

    total: int
    limits: Mapping[str, int]
    _running: int = 0
    _by_type: dict[str | None, int] = field(init=False, default_factory=dict[str | None, int])
    _ready: dict[str | None, deque[_Entry[Work]]] = field(init=False, default_factory=dict[Any, Any])
    _key_queues: dict[Hashable, deque[_Entry[Work]]] = field(init=False, default_factory=dict[Any, Any])
    _arrivals: int = 0
    _held: int = 0

    @property
    def free(self) -> int:
        """How many more may run; below 0 when some were let in beyond the total."""
        return self.total - self._running

    @property
    def held(self) -> int:
        """How much waits."""
        return self._held

    def acquire(self, slot: Slot) -> None:
        """Take a slot whatever the limits say: for work that must not wait."""
        self._running += 1
        self._by_type[slot.task_type] = self._by_type.get(slot.task_type, 0) + 1

    def try_acquire(self, slot: Slot, work: Work) -> bool:
        """Take a slot and return True, or hold the work and return False."""
        self._arrivals += 1
        entry = _Entry(self._arrivals, slot, work)
        if slot.key_queue is not None:
            if slot.key_queue in self._key_queues:
                self._key_queues[slot.key_queue].append(entry)
                self._held += 1
                return False
            self._key_queues[slot.key_queue] = deque()
        if self._has_room(slot.task_type):
            self.acquire(slot)
            return True
        self._ready.setdefault(slot.task_type, deque()).append(entry)
        self._held += 1
        return False

    def release(self, slot: Slot) -> None:
        """Give a slot back; then ask for `next` until there is none."""
        self._running -= 1
        self._by_type[slot.task_type] -= 1
        if slot.key_queue is None or slot.key_queue not in self._key_queues:
            return
        behind = self._key_queues[slot.key_queue]
        if behind:
            self._ready.setdefault(slot.task_type, deque()).append(behind.popleft())
        else:
            del self._key_queues[slot.key_queue]

    def next(self) -> Scheduled[Work] | None:
        """The oldest held work that may begin, with its slot taken; None when there is none."""
        heads = [queue[0] for name, queue in self._ready.items() if queue and self._has_room(name)]
        if not heads:
            return None
        _, slot, work = min(heads, key=lambda head: head.arrival)
        self._ready[slot.task_type].popleft()
        self._held -= 1
        self.acquire(slot)
        return Scheduled(slot, work)

    def clear_held(self) -> list[Work]:
        """Forget and return all that is held."""
        queues = [*self._ready.values(), *self._key_queues.values()]
        entries = sorted((entry for queue in queues for entry in queue), key=lambda entry: entry.arrival)
        self._ready.clear()
        self._key_queues.clear()
        self._held = 0
        return [entry.work for entry in entries]

    def _has_room(self, task_type: str | None) -> bool:
        if self._running >= self.total:
            return False
        limit = None if task_type is None else self.limits.get(task_type)
        return limit is None or self._by_type.get(task_type, 0) < limit
