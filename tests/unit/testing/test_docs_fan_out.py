"""The examples of docs/fan-out.md, of groups that something else may stop, do what the page says."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import restate

from kallback.protocol import TaskType
from kallback.sdk import TaskError, TaskFailed
from kallback.testing import HandlerTest
from kallback.workers import TaskFailure

PAGE = (Path(__file__).parents[3] / "docs" / "fan-out.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
STOPPED, FAILING_FAST = [block for block in BLOCKS if "all_end_before" in block]
[NAMING] = [block for block in BLOCKS if "photo_of" in block]
MINUTE = timedelta(minutes=1)
RENDER = TaskType("render", request=str, result=str)
RESIZE = TaskType("resize", request=str, result=str)


@pytest.mark.parametrize(("stopped_after", "videos"), [(2 * MINUTE, ["one.webm"]), (4 * MINUTE, ["one.webm"] * 2)])
async def test_a_group_is_stopped(stopped_after: timedelta, videos: list[str]) -> None:
    """Results that are there are kept, and workers are told to stop the others."""
    async with HandlerTest() as test:
        names: dict[str, Any] = {
            "films": restate.Workflow("Films"),
            "restate": restate,
            "render": RENDER,
            "callbacks": test.callbacks,
            "TaskError": TaskError,
        }
        exec(compile(STOPPED, "docs/fan-out.md", "exec"), names)
        test.worker.on(RENDER).completes("one.webm", after=MINUTE).completes("one.webm", after=3 * MINUTE)
        test.resolve_promise("stop", after=stopped_after)

        assert await test.run(names["run"], ["one", "two"]) == videos


def names_of(test: HandlerTest, code: str, albums: restate.Workflow | restate.VirtualObject) -> dict[str, Any]:
    """What an example about photos defines."""
    names: dict[str, Any] = {
        "albums": albums,
        "restate": restate,
        "resize": RESIZE,
        "callbacks": test.callbacks,
        "TaskFailed": TaskFailed,
    }
    exec(compile(code, "docs/fan-out.md", "exec"), names)
    return names


def photos(test: HandlerTest) -> Any:
    """The handler of the second example."""
    return names_of(test, FAILING_FAST, restate.Workflow("Albums"))["run"]


async def test_the_first_failure_says_which_task_it_was() -> None:
    """By its id, which the handle has."""
    async with HandlerTest() as test:
        test.worker.on(RESIZE).completes("one.webp").fails(TaskFailure("Unreadable", "no photo"))
        resize_all = names_of(test, NAMING, restate.VirtualObject("Albums"))["resize_all"]

        with pytest.raises(restate.TerminalError, match="two: Unreadable"):
            await test.run(resize_all, ["one", "two"])


async def test_the_first_failure_ends_a_group_that_a_signal_may_stop() -> None:
    """It is raised when it comes, and the workers of the others are told."""
    async with HandlerTest() as test:
        test.worker.on(RESIZE).fails(TaskFailure("Unreadable", "no photo"), after=MINUTE).never_answers()
        test.resolve_promise("stop", after=9 * MINUTE)

        with pytest.raises(TaskFailed, match="no photo"):
            await test.run(photos(test), ["one", "two"])
        assert (test.elapsed, len(test.cancels)) == (MINUTE, 1)


@pytest.mark.parametrize(("stopped_after", "resized"), [(2, []), (4, ["one.webp", "two.webp"])])
async def test_a_signal_ends_a_group_that_fails_fast(stopped_after: int, resized: list[str]) -> None:
    """Unless all tasks have ended before."""
    async with HandlerTest() as test:
        test.worker.on(RESIZE).completes("one.webp", after=MINUTE).completes("two.webp", after=3 * MINUTE)
        test.resolve_promise("stop", after=stopped_after * MINUTE)

        assert await test.run(photos(test), ["one", "two"]) == resized
