"""The keys of `tasks list --json` are those that the page on operations names."""

from __future__ import annotations

import re
from pathlib import Path

from kallback.cli.tasks.rows import members_of
from kallback.kafka import Position
from kallback.operations import AttemptProgress, PendingTask, WaitingInvocation
from kallback.protocol import Attempt, TaskId

PAGE = (Path(__file__).parents[3] / "docs" / "operations.md").read_text("utf-8")
TABLE = PAGE.partition("| key of `--json` | value |")[2].partition("\n\n")[0]


def test_each_key_is_on_the_page() -> None:
    """And the page names no other."""
    waiting = WaitingInvocation("inv_1", "Shop/order", "Shop/order", "suspended", 0)
    task = PendingTask(
        TaskId("AAECAwQFBgcICQoL"), "cook", Attempt(1), Position("cook", 0, 10), 0, None, waiting, AttemptProgress(0)
    )
    named = [key for cell in re.findall(r"^\|([^|]+)\|", TABLE, re.MULTILINE) for key in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(members_of(task))
