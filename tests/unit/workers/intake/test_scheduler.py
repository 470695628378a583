"""Which work may begin: total, limits, keys."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kallback.workers.intake.scheduler import Scheduled, Scheduler, Slot

A, B = Slot("a"), Slot("b")


def everything(scheduler: Scheduler[str]) -> list[str]:
    """What may begin now, until nothing may."""
    found: list[str] = []
    while (scheduled := scheduler.next()) is not None:
        found.append(scheduled.work)
    return found


def test_work_beyond_the_total_is_held_until_something_leaves() -> None:
    """The oldest held work begins first."""
    scheduler = Scheduler[str](1, {})

    assert [scheduler.try_acquire(A, name) for name in "xyz"] == [True, False, False]
    scheduler.release(A)
    assert everything(scheduler) == ["y"]


def test_a_full_type_holds_back_its_own_work_only() -> None:
    """Another type begins although older work is held."""
    scheduler = Scheduler[str](9, {"a": 1})

    acquired = [scheduler.try_acquire(slot, name) for slot, name in ((A, "a1"), (A, "a2"), (B, "b1"))]
    assert acquired == [True, False, True]
    assert everything(scheduler) == []
    scheduler.release(A)
    assert everything(scheduler) == ["a2"]


def test_a_key_takes_one_after_another() -> None:
    """Work of a busy key waits, in order; another key and work without one do not."""
    scheduler = Scheduler[str](9, {})
    hot, cold = Slot("a", "hot"), Slot("a", "cold")

    assert [scheduler.try_acquire(hot, name) for name in ("h1", "h2", "h3")] == [True, False, False]
    assert [scheduler.try_acquire(cold, "c1"), scheduler.try_acquire(A, "bare")] == [True, True]
    scheduler.release(hot)
    assert everything(scheduler) == ["h2"]
    scheduler.release(hot)
    assert everything(scheduler) == ["h3"]


def test_a_key_that_waits_for_its_type_keeps_its_order() -> None:
    """Work whose key is free but whose type is full is not overtaken by the same key."""
    scheduler = Scheduler[str](9, {"a": 1})
    keyed = Slot("a", "key")

    assert scheduler.try_acquire(A, "other")
    assert [scheduler.try_acquire(keyed, "k1"), scheduler.try_acquire(keyed, "k2")] == [False, False]
    scheduler.release(A)
    assert everything(scheduler) == ["k1"]
    scheduler.release(keyed)
    assert everything(scheduler) == ["k2"]


def test_what_is_let_in_counts() -> None:
    """Work that must not wait uses up room all the same."""
    scheduler = Scheduler[str](1, {})
    scheduler.acquire(Slot())

    assert (scheduler.free, scheduler.try_acquire(A, "later")) == (0, False)


def test_giving_up_returns_all_that_is_held_in_order() -> None:
    """Nothing of it begins afterwards."""
    scheduler = Scheduler[str](1, {})
    keyed = Slot("a", "key")
    for slot, name in ((A, "runs"), (keyed, "k1"), (B, "b1"), (keyed, "k2")):
        scheduler.try_acquire(slot, name)

    assert scheduler.clear_held() == ["k1", "b1", "k2"]
    scheduler.release(A)
    assert (everything(scheduler), sum(scheduler.held().values())) == ([], 0)


_slots = st.builds(Slot, st.sampled_from("ab"), st.none() | st.sampled_from("xyz"), apart=st.booleans())


class Load:
    """Work that comes and goes; checks the limits whenever some begins."""

    def __init__(self, total: int, limit: int) -> None:
        self.scheduler = Scheduler[int](total, {"a": limit})
        self.total = total
        self.limit = limit
        self.running: list[tuple[Slot, int]] = []
        self.begun: list[tuple[Slot, int]] = []

    def come(self, slot: Slot, number: int) -> None:
        """Work arrives."""
        if self.scheduler.try_acquire(slot, number):
            self.begin(slot, number)
        self.begin_held()

    def begin(self, slot: Slot, number: int) -> None:
        """Work begins, within the limits, one of a key at a time."""
        self.running.append((slot, number))
        self.begun.append((slot, number))
        types = Counter(each.task_type for each, _ in self.running)
        keys = Counter(each.key for each, _ in self.running if each.key is not None)
        assert len(self.running) <= self.total
        assert types["a"] <= self.limit
        assert not keys or max(keys.values()) == 1

    def begin_held(self) -> None:
        """Whatever may begin, does; work that runs apart waits until nothing else runs."""
        while (scheduled := self.scheduler.next()) is not None:
            self.begin(*scheduled)
        if not self.running and (scheduled := self.scheduler.next_apart()) is not None:
            self.begin(*scheduled)

    def finish(self, number: int) -> None:
        """One of those that run ends."""
        if self.running:
            self.scheduler.release(self.running.pop(number % len(self.running))[0])
            self.begin_held()


@given(st.lists(_slots | st.integers(0, 9)), st.integers(1, 4), st.integers(1, 3))
def test_limits_hold_and_all_work_begins(steps: list[Slot | int], total: int, limit: int) -> None:
    """Whatever comes and goes: limits hold, each key runs in order and one by one, and all work begins."""
    load = Load(total, limit)
    arrived = 0
    for step in steps:
        if isinstance(step, int):
            load.finish(step)
            continue
        # One key belongs to one type: `_slot_of` puts the type's name into it.
        load.come(step._replace(key=None if step.key is None else (step.task_type, step.key)), arrived)
        arrived += 1
    while load.running:
        load.finish(0)

    assert sorted(number for _, number in load.begun) == list(range(arrived))
    for key in {slot.key for slot, _ in load.begun if slot.key is not None}:
        in_order = [number for slot, number in load.begun if slot.key == key]
        assert in_order == sorted(in_order)


def test_work_that_runs_apart_is_taken_while_the_scheduler_is_paused() -> None:
    """Nothing else begins beside it; it keeps its turn within its key."""
    scheduler = Scheduler[str](9, {})
    suspect = Slot("a", "key", apart=True)

    assert [scheduler.try_acquire(suspect, "suspect"), scheduler.try_acquire(Slot("a", "key"), "next")] == [False] * 2
    scheduler.pause()
    assert (scheduler.next_apart(), scheduler.try_acquire(B, "other")) == ((suspect, "suspect"), False)
    scheduler.release(suspect)
    assert everything(scheduler) == []
    scheduler.resume()
    assert everything(scheduler) == ["next", "other"]


def test_what_is_dropped_passes_its_turn_on() -> None:
    """Work of one key that was held behind it may begin; other work stays held."""
    scheduler = Scheduler[str](total=10, limits={"a": 1})
    running, ordered = Slot("a"), Slot("a", "key")
    assert scheduler.try_acquire(running, "first")
    for work in ("gone", "stays", "gone too"):
        assert not scheduler.try_acquire(ordered, work)
    assert not scheduler.try_acquire(running, "other")
    assert scheduler.drop(lambda work: work.startswith("gone")) == ["gone", "gone too"]
    assert scheduler.held()["order"] == 0
    scheduler.release(running)
    assert scheduler.next() == Scheduled(running, "other")
    scheduler.release(running)
    assert scheduler.next() == Scheduled(ordered, "stays")
