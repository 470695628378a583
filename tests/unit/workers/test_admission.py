"""Which work may begin: total, limits, lanes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kallback.workers.intake.scheduler import Place, Scheduler

A, B = Place("a"), Place("b")


def everything(scheduler: Scheduler[str]) -> list[str]:
    """What may begin now, until nothing may."""
    found: list[str] = []
    while (scheduled := scheduler.next()) is not None:
        found.append(scheduled.work)
    return found


def test_work_beyond_the_total_is_held_until_something_leaves() -> None:
    """The oldest held work begins first."""
    scheduler = Scheduler[str](1, {})

    assert [scheduler.ask(A, name) for name in "xyz"] == [True, False, False]
    scheduler.leave(A)
    assert everything(scheduler) == ["y"]


def test_a_full_type_holds_back_its_own_work_only() -> None:
    """Another type begins although older work is held."""
    scheduler = Scheduler[str](9, {"a": 1})

    assert [scheduler.ask(A, "a1"), scheduler.ask(A, "a2"), scheduler.ask(B, "b1")] == [True, False, True]
    assert everything(scheduler) == []
    scheduler.leave(A)
    assert everything(scheduler) == ["a2"]


def test_a_lane_takes_one_after_another() -> None:
    """Work of a busy key waits, in order; another key and work without one do not."""
    scheduler = Scheduler[str](9, {})
    hot, cold = Place("a", "hot"), Place("a", "cold")

    assert [scheduler.ask(hot, "h1"), scheduler.ask(hot, "h2"), scheduler.ask(hot, "h3")] == [True, False, False]
    assert [scheduler.ask(cold, "c1"), scheduler.ask(A, "bare")] == [True, True]
    scheduler.leave(hot)
    assert everything(scheduler) == ["h2"]
    scheduler.leave(hot)
    assert everything(scheduler) == ["h3"]


def test_a_lane_that_waits_for_its_type_keeps_its_order() -> None:
    """Work whose key is free but whose type is full is not overtaken by the same key."""
    scheduler = Scheduler[str](9, {"a": 1})
    lane = Place("a", "key")

    assert scheduler.ask(A, "other")
    assert [scheduler.ask(lane, "k1"), scheduler.ask(lane, "k2")] == [False, False]
    scheduler.leave(A)
    assert everything(scheduler) == ["k1"]
    scheduler.leave(lane)
    assert everything(scheduler) == ["k2"]


def test_what_is_let_in_counts() -> None:
    """Work that must not wait uses up room all the same."""
    scheduler = Scheduler[str](1, {})
    scheduler.acquire(Place())

    assert (scheduler.free, scheduler.ask(A, "later")) == (0, False)


def test_giving_up_returns_all_that_is_held_in_order() -> None:
    """Nothing of it begins afterwards."""
    scheduler = Scheduler[str](1, {})
    lane = Place("a", "key")
    for place, name in ((A, "runs"), (lane, "k1"), (B, "b1"), (lane, "k2")):
        scheduler.ask(place, name)

    assert scheduler.give_up() == ["k1", "b1", "k2"]
    scheduler.leave(A)
    assert (everything(scheduler), scheduler.held) == ([], 0)


_places = st.builds(Place, st.sampled_from("ab"), st.none() | st.sampled_from("xyz"))


@given(st.lists(_places | st.integers(0, 9)), st.integers(1, 4), st.integers(1, 3))
def test_limits_hold_and_all_work_begins(steps: list[Place | int], total: int, limit: int) -> None:
    """Whatever comes and goes: no limit is passed, no lane runs twice, order is kept in lanes, nothing is forgotten."""
    scheduler = Scheduler[int](total, {"a": limit})
    running: list[tuple[Place, int]] = []
    begun: list[tuple[Place, int]] = []

    def begin(place: Place, work: int) -> None:
        running.append((place, work))
        begun.append((place, work))
        types = Counter(each.task_type for each, _ in running)
        lanes = Counter(each for each, _ in running if each.lane is not None)
        assert len(running) <= total
        assert types["a"] <= limit
        assert not lanes or max(lanes.values()) == 1

    def leave(number: int) -> None:
        scheduler.leave(running.pop(number % len(running))[0])
        while (scheduled := scheduler.next()) is not None:
            begin(*scheduled)

    # One lane belongs to one type: `_place_of` puts the type's name into it.
    arrived = [
        each._replace(lane=None if each.lane is None else (each.task_type, each.lane))
        for each in steps
        if isinstance(each, Place)
    ]
    coming = iter(enumerate(arrived))
    for step in steps:
        if isinstance(step, int):
            if running:
                leave(step)
        else:
            number, place = next(coming)
            if scheduler.ask(place, number):
                begin(place, number)
    while running:
        leave(0)

    assert sorted(work for _, work in begun) == list(range(len(arrived)))
    for lane in {place for place, _ in begun if place.lane is not None}:
        in_lane = [work for place, work in begun if place == lane]
        assert in_lane == sorted(in_lane)
