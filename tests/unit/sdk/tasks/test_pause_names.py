"""What the timer between two attempts is called in the journal."""

from __future__ import annotations

import msgspec
import pytest

from kallback.protocol import Attempt, TaskId
from kallback.sdk.journal.identity import TaskIdentity
from kallback.sdk.tasks.task import pause_name


@pytest.mark.parametrize(
    ("names_pauses", "failed", "name"),
    [
        (True, 1, "back off cook AAECAwQFBgcICQoL"),
        (True, 2, "back off cook AAECAwQFBgcICQoL attempt 2"),
        (False, 1, "back off cook"),
        (False, 2, "back off cook attempt 2"),
    ],
)
def test_a_pause_is_named_after_its_task(names_pauses: bool, failed: int, name: str) -> None:  # noqa: FBT001 - a parameter of the test
    """A replay of a journal that an earlier version began needs the name without the id."""
    identity = TaskIdentity(TaskId("AAECAwQFBgcICQoL"), names_pauses=names_pauses)
    assert pause_name("cook", identity, Attempt(failed)) == name


def test_new_tasks_have_pauses_with_their_names() -> None:
    """A journal without that member is one of an earlier version."""
    assert not msgspec.json.decode(b'{"task_id":"AAECAwQFBgcICQoL"}', type=TaskIdentity).names_pauses
