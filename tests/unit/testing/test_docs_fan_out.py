"""The example of docs/fan-out.md, of a group that something else may stop, does what the page says."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import restate

from kallback.protocol import TaskType
from kallback.sdk import TaskError
from kallback.testing import HandlerTest

PAGE = (Path(__file__).parents[3] / "docs" / "fan-out.md").read_text("utf-8")
[STOPPED] = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "all_end_before" in block]
MINUTE = timedelta(minutes=1)
RENDER = TaskType("render", request=str, result=str)


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
