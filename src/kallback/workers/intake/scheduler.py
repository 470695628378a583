"""Which work may begin: the total, the limits of task types, and the order within a key. Pure; owned by the loop.

Work that may not begin yet is *held*, in the order of its arrival; whatever is released makes room for the oldest held
work that now may begin. A full type or a busy key holds back its own work only.

Work of one key runs in order: the first piece of a key runs or is next, the others wait in the *queue* of that key.
So finding the next work looks at one piece per task type, however much is held.

Work that is to run *apart* from other work is never next by itself: `next_apart` takes it, while the scheduler is
paused. It keeps its turn in the queue of its key.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, Generic, NamedTuple, TypeVar

Work = TypeVar("Work")


class Slot(NamedTuple):
    """What a piece of work needs to begin.

    Attributes:
        task_type: counts against this type's limit; None counts against the total only.
        key: what has the same key runs one after another; None for no order.
        apart: it runs apart from other work.
    """

    task_type: str | None = None
    key: Hashable = None
    apart: bool = False


class _Entry(NamedTuple, Generic[Work]):
    arrival: int
    slot: Slot
    work: Work


class Scheduled(NamedTuple, Generic[Work]):
    """Held work that may begin now; its slot is acquired."""

    slot: Slot
    work: Work


class Scheduler(Generic[Work]):
    """Counts what runs, and keeps what is held.

    Args:
        total: how much may run at a time.
        limits: how much of a type; a type that is not in it has no limit of its own.
    """

    def __init__(self, total: int, limits: Mapping[str, int]) -> None:
        self._total: Final = total
        self._limits: Final = limits
        self._running = 0
        self._by_type: Final = dict[str | None, int]()
        self._ready: Final = dict[str | None, deque[_Entry[Work]]]()
        self._apart: Final = deque[_Entry[Work]]()
        self._key_queues: Final = dict[Hashable, deque[_Entry[Work]]]()
        self._arrivals = 0
        self._ordered = 0
        self._paused = False

    @property
    def free(self) -> int:
        """How much more may run; 0 or less while paused or when some was let in beyond the total."""
        return 0 if self._paused else self._total - self._running

    @property
    def has_apart(self) -> bool:
        """Whether work waits that is to run apart."""
        return bool(self._apart)

    @property
    def runs_ordered(self) -> bool:
        """Whether work runs whose key others must wait for."""
        return self._ordered > 0

    def held(self) -> dict[str, int]:
        """How much is held, by reason."""
        return {
            "limit": sum(len(queue) for queue in self._ready.values()),
            "order": sum(len(queue) for queue in self._key_queues.values()),
            "last-chance": len(self._apart),
        }

    def pause(self) -> None:
        """Let nothing begin."""
        self._paused = True

    def resume(self) -> None:
        """Let work begin again; then take `next` until there is none."""
        self._paused = False

    def acquire(self, slot: Slot) -> None:
        """Take a slot whatever the limits say: for work that must not wait."""
        self._running += 1
        self._ordered += slot.key is not None
        self._by_type[slot.task_type] = self._by_type.get(slot.task_type, 0) + 1

    def try_acquire(self, slot: Slot, work: Work) -> bool:
        """Take a slot and return True, or hold the work and return False."""
        self._arrivals += 1
        entry = _Entry(self._arrivals, slot, work)
        if slot.key is not None:
            if slot.key in self._key_queues:
                self._key_queues[slot.key].append(entry)
                return False
            self._key_queues[slot.key] = deque()
        if self._has_room(slot.task_type) and not slot.apart:
            self.acquire(slot)
            return True
        self._hold(entry)
        return False

    def release(self, slot: Slot) -> None:
        """Give a slot back; then take `next` until there is none."""
        self._running -= 1
        self._ordered -= slot.key is not None
        self._by_type[slot.task_type] -= 1
        self._pass_on(slot.key)

    def next(self) -> Scheduled[Work] | None:
        """The oldest held work that may begin, with its slot acquired; None when there is none."""
        heads = [queue[0] for name, queue in self._ready.items() if queue and self._has_room(name)]
        if not heads:
            return None
        _, slot, work = min(heads, key=lambda head: head.arrival)
        self._ready[slot.task_type].popleft()
        self.acquire(slot)
        return Scheduled(slot, work)

    def next_apart(self) -> Scheduled[Work] | None:
        """The oldest work that is to run apart, with its slot acquired; None when there is none."""
        if not self._apart:
            return None
        _, slot, work = self._apart.popleft()
        self.acquire(slot)
        return Scheduled(slot, work)

    def drop(self, matches: Callable[[Work], bool]) -> list[Work]:
        """Forget and return what is held and matches; what waits behind it within its key takes its turn."""
        dropped = [entry for entry in self._held_entries() if matches(entry.work)]
        gone = {entry.arrival for entry in dropped}
        for queue in self._key_queues.values():
            _keep(queue, gone)
        for turns in (*self._ready.values(), self._apart):
            keys = [entry.slot.key for entry in turns if entry.arrival in gone]
            _keep(turns, gone)
            for key in keys:
                self._pass_on(key)
        return [entry.work for entry in dropped]

    def clear_held(self) -> list[Work]:
        """Forget and return all that is held."""
        held = [entry.work for entry in self._held_entries()]
        self._ready.clear()
        self._key_queues.clear()
        self._apart.clear()
        return held

    def _held_entries(self) -> list[_Entry[Work]]:
        queues: list[deque[_Entry[Work]]] = [*self._ready.values(), *self._key_queues.values(), self._apart]
        return sorted((entry for queue in queues for entry in queue), key=_arrival)

    def _pass_on(self, key: Hashable) -> None:
        """The first piece of a key is gone: the next one takes its turn."""
        if key is None or key not in self._key_queues:
            return
        waiting = self._key_queues[key]
        if waiting:
            self._hold(waiting.popleft())
        else:
            del self._key_queues[key]

    def _hold(self, entry: _Entry[Work]) -> None:
        if entry.slot.apart:
            self._apart.append(entry)
        else:
            self._ready.setdefault(entry.slot.task_type, deque()).append(entry)

    def _has_room(self, task_type: str | None) -> bool:
        if self.free < 1:
            return False
        limit = None if task_type is None else self._limits.get(task_type)
        return limit is None or self._by_type.get(task_type, 0) < limit


def _keep(queue: deque[_Entry[Any]], gone: AbstractSet[int]) -> None:
    kept = [entry for entry in queue if entry.arrival not in gone]
    queue.clear()
    queue.extend(kept)


def _arrival(entry: _Entry[Any]) -> int:
    return entry.arrival
