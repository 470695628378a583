"""What a plan chooses of more dead letters than the limit."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kallback.cli.dead_letters import plan as module
from kallback.cli.dead_letters.plan import ChosenLetters, ReplayPlan
from kallback.kafka import DeadLetter, DeadLetterId, Position
from kallback.operations.replay_checks import MaySend, MustNotSend

SOURCE = Position("kallback.results", 0, 0)
MAY_SEND = MaySend("kallback.results", is_verified=True)


def plan_of(times_ms: Sequence[Sequence[int]]) -> ReplayPlan:
    """A plan of partitions, each with the times of its dead letters; those of time 0 must not be sent."""
    plan = ReplayPlan(again=False)
    for partition, times in reversed(list(enumerate(times_ms))):
        for offset, at_ms in enumerate(times):
            name = DeadLetterId(partition, offset)
            letter = DeadLetter(name, "late", "", at_ms, at_ms, SOURCE, 0, "g", None, None, ())
            plan.add(letter, MAY_SEND if at_ms else MustNotSend("forged"))
    return plan


def names_of(chosen: ChosenLetters) -> list[tuple[int, int]]:
    """The chosen ones."""
    return sorted((partition, offset) for partition, offsets in chosen.offsets.items() for offset in offsets)


@pytest.mark.parametrize("few", [0, 100], ids=["sorted", "heap"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.lists(st.integers(0, 4), max_size=6), max_size=4), st.integers(1, 12))
def test_of_more_than_the_limit_the_oldest_are_chosen(
    monkeypatch: pytest.MonkeyPatch, few: int, times_ms: list[list[int]], limit: int
) -> None:
    """Of those of one time, the first in the topic; the rest is left to the next run."""
    monkeypatch.setattr(module, "_FEW", few)
    rows = [(at_ms, number, offset) for number, times in enumerate(times_ms) for offset, at_ms in enumerate(times)]
    oldest = sorted(row for row in rows if row[0])[:limit]

    chosen = plan_of(times_ms).choose(limit)

    assert names_of(chosen) == sorted((number, offset) for _, number, offset in oldest)
    assert chosen.total == len(oldest)
    assert all(list(offsets) == sorted(offsets) for offsets in chosen.offsets.values())


def test_a_limit_takes_little_memory() -> None:
    """One number for each dead letter, however large the limit is."""
    plan = plan_of([range(1, 20_001)])
    tracemalloc.start()
    plan.choose(15_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000 * 80
