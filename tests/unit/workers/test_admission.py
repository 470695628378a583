"""Which work may begin: total, limits, key_queues."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kallback.workers.intake.scheduler import Scheduler, Slot

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

    assert [scheduler.try_acquire(A, "a1"), scheduler.try_acquire(A, "a2"), scheduler.try_acquire(B, "b1")] == [
        True,
        False,
        True,
    ]
    assert everything(scheduler) == []
    scheduler.release(A)
    assert everything(scheduler) == ["a2"]


def test_a_lane_takes_one_after_another() -> None:
    """Work of a busy key waits, in order; another key and work without one do not."""
    scheduler = Scheduler[str](9, {})
    hot, cold = Slot("a", "hot"), Slot("a", "cold")

    assert [scheduler.try_acquire(hot, name) for name in ("h1", "h2", "h3")] == [True, False, False]
    assert [scheduler.try_acquire(cold, "c1"), scheduler.try_acquire(A, "bare")] == [True, True]
    scheduler.release(hot)
    assert everything(scheduler) == ["h2"]
    scheduler.release(hot)
    assert everything(scheduler) == ["h3"]


def test_a_lane_that_waits_for_its_type_keeps_its_order() -> None:
    """Work whose key is free but whose type is full is not overtaken by the same key."""
    scheduler = Scheduler[str](9, {"a": 1})
    key_queue = Slot("a", "key")

    assert scheduler.try_acquire(A, "other")
    assert [scheduler.try_acquire(key_queue, "k1"), scheduler.try_acquire(key_queue, "k2")] == [False, False]
    scheduler.release(A)
    assert everything(scheduler) == ["k1"]
    scheduler.release(key_queue)
    assert everything(scheduler) == ["k2"]


def test_what_is_let_in_counts() -> None:
    """Work that must not wait uses up room all the same."""
    scheduler = Scheduler[str](1, {})
    scheduler.acquire(Slot())

    assert (scheduler.free, scheduler.try_acquire(A, "later")) == (0, False)


def test_giving_up_returns_all_that_is_held_in_order() -> None:
    """Nothing of it begins afterwards."""
    scheduler = Scheduler[str](1, {})
    key_queue = Slot("a", "key")
    for slot, name in ((A, "runs"), (key_queue, "k1"), (B, "b1"), (key_queue, "k2")):
        scheduler.try_acquire(slot, name)

    assert scheduler.clear_held() == ["k1", "b1", "k2"]
    scheduler.release(A)
    assert (everything(scheduler), scheduler.held) == ([], 0)


_slots = st.builds(Slot, st.sampled_from("ab"), st.none() | st.sampled_from("xyz"))


@given(st.lists(_slots | st.integers(0, 9)), st.integers(1, 4), st.integers(1, 3))
def test_limits_hold_and_all_work_begins(steps: list[Slot | int], total: int, limit: int) -> None:
    """Whatever comes and goes: limits hold, each key runs in order and one by one, and all work begins."""
    scheduler = Scheduler[int](total, {"a": limit})
    running: list[tuple[Slot, int]] = []
    begun: list[tuple[Slot, int]] = []

    def begin(slot: Slot, work: int) -> None:
        running.append((slot, work))
        begun.append((slot, work))
        types = Counter(each.task_type for each, _ in running)
        key_queues = Counter(each for each, _ in running if each.key_queue is not None)
        assert len(running) <= total
        assert types["a"] <= limit
        assert not key_queues or max(key_queues.values()) == 1

    def finish(number: int) -> None:
        scheduler.release(running.pop(number % len(running))[0])
        while (scheduled := scheduler.next()) is not None:
            begin(*scheduled)

    # One key_queue belongs to one type: `_slot_of` puts the type's name into it.
    arrived = [
        each._replace(key_queue=None if each.key_queue is None else (each.task_type, each.key_queue))
        for each in steps
        if isinstance(each, Slot)
    ]
    coming = iter(enumerate(arrived))
    for step in steps:
        if isinstance(step, int):
            if running:
                finish(step)
        else:
            number, slot = next(coming)
            if scheduler.try_acquire(slot, number):
                begin(slot, number)
    while running:
        finish(0)

    assert sorted(work for _, work in begun) == list(range(len(arrived)))
    for key_queue in {slot for slot, _ in begun if slot.key_queue is not None}:
        in_lane = [work for slot, work in begun if slot == key_queue]
        assert in_lane == sorted(in_lane)
