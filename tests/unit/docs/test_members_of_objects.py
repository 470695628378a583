"""What handlers and task functions are given is described where a user meets it, member by member."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kallback.protocol import Problem, TaskId
from kallback.sdk import Progress, TaskAwakeable, TaskError, TaskFailed, TaskHandle
from kallback.workers import TaskContext

DOCS = Path(__file__).parents[3] / "docs"
OF_EXCEPTIONS = set(dir(Exception()))


def documented(page: str, name: str) -> set[str]:
    """The members that the table of a class has, in the first column."""
    text = (DOCS / f"{page}.md").read_text("utf-8")
    table = re.search(rf"^\| member of `{name}` \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table is not None, f"{page}.md has no table with members of {name}"
    firsts = [row.split("|")[1] for row in table[1].splitlines()]
    return {found for first in firsts for found in re.findall(r"`(?:await )?(\w+)[^`]*`", first)}


def members(value: Any) -> set[str]:
    """The public members of a class or an object."""
    return {name for name in dir(value) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("page", "name", "value"),
    [
        ("heartbeats", "Progress", Progress),
        ("workers", "TaskContext", TaskContext("t-1")),
        ("fan-out", "TaskHandle", TaskHandle),
        ("approvals", "TaskAwakeable", TaskAwakeable),
        ("errors", "TaskError", TaskFailed(Problem(), task_type="prepare", task_id=TaskId("A" * 16))),
    ],
)
def test_a_page_lists_all_members(page: str, name: str, value: Any) -> None:
    """A reader of the page alone knows what there is to use."""
    own = members(value) - OF_EXCEPTIONS if isinstance(value, TaskError) else members(value)
    assert documented(page, name) == own
