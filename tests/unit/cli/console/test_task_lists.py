"""The lists of pending tasks, which many browsers look at."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kallback.cli.console import task_lists
from kallback.cli.console.routes import TasksRoute
from kallback.cli.console.task_lists import TaskLists


class Sources:
    """Pages that are numbered in the order in which they were read."""

    def __init__(self) -> None:
        self.read: list[tuple[frozenset[str], str | None]] = []

    async def tasks(self, wanted: Any, cursor: str | None, _limit: int) -> Any:
        """Read one."""
        self.read.append((wanted.types, cursor))
        number = len(self.read)
        await asyncio.sleep(0)
        return number


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def sources() -> Sources:
    """Of pages."""
    return Sources()


@pytest.fixture
def clock() -> Clock:
    """Seconds since the epoch."""
    return Clock()


@pytest.fixture
def lists(sources: Any, clock: Clock) -> TaskLists:
    """Of a console whose other pages are fresh for five seconds."""
    return TaskLists(sources, 5.0, clock)


async def test_fifty_browsers_on_one_list_cost_one_reading(lists: TaskLists, sources: Sources) -> None:
    """Restate searches its journals once."""
    pages: list[Any] = await asyncio.gather(*(lists.get(TasksRoute("render")) for _ in range(50)))
    assert (pages, sources.read) == ([1] * 50, [(frozenset({"render"}), None)])


async def test_each_filter_and_each_page_is_a_list_of_its_own(lists: TaskLists) -> None:
    """What one browser looks at is not what another one asked for."""
    routes = [TasksRoute("render"), TasksRoute("print"), TasksRoute("render", cursor="next"), TasksRoute("render")]
    pages: list[Any] = [await lists.get(route) for route in routes]
    assert pages == [1, 2, 3, 1]


async def test_a_list_is_shown_for_two_seconds(lists: TaskLists, clock: Clock) -> None:
    """Although other pages are shown for longer: people act on what they see."""
    first: Any = await lists.get(TasksRoute())
    clock.now += 1.9
    second: Any = await lists.get(TasksRoute())
    clock.now += 0.2
    third: Any = await lists.get(TasksRoute())
    assert (first, second, third) == (1, 1, 2)


async def test_after_a_change_by_hand_each_browser_reads_for_itself(lists: TaskLists, clock: Clock) -> None:
    """What was changed shows as soon as the bridge is done, and for ten seconds nothing older is shown."""
    first: Any = await lists.get(TasksRoute())
    lists.changed()
    alone: list[Any] = [await lists.get(TasksRoute()) for _ in range(2)]
    clock.now += 10
    shared: list[Any] = [await lists.get(TasksRoute()) for _ in range(2)]
    assert (first, alone, shared) == (1, [2, 3], [4, 4])


async def test_a_reading_that_began_before_a_change_is_not_shown_after_it(lists: TaskLists, clock: Clock) -> None:
    """It may not have the change."""
    before = asyncio.create_task(lists.get(TasksRoute()))
    await asyncio.sleep(0)
    lists.changed()
    await before
    clock.now += 10
    after: Any = await lists.get(TasksRoute())
    assert after == 2


async def test_only_the_lists_that_were_asked_for_last_are_kept(
    lists: TaskLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever addresses a browser sends, the console stays small."""
    monkeypatch.setattr(task_lists, "_KEPT", 2)
    pages: list[Any] = [await lists.get(TasksRoute(name)) for name in ("a", "b", "a", "c", "a", "b")]
    assert pages == [1, 2, 1, 3, 1, 4]
