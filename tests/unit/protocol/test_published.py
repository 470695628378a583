"""What the publishing step leaves in the journal."""

from __future__ import annotations

import msgspec

from kallback.protocol import Attempt, PublishedTask, PublishedTasks, TaskId

TASK = PublishedTask(TaskId("AAECAwQFBgcICQoL"), Attempt(2), signal=17, partition=3, offset=41)


def test_a_published_task_is_short_in_the_journal() -> None:
    """Thousands may be in one entry."""
    published = PublishedTasks("shop.pack", "shop.pack", [TASK], created_ms=1000, monitored=True)
    assert msgspec.json.encode(published) == (
        b'{"task_type":"shop.pack","topic":"shop.pack","tasks":[["AAECAwQFBgcICQoL",2,17,3,41]],"created_ms":1000,'
        b'"monitored":true}'
    )


def test_members_that_are_not_known_are_ignored() -> None:
    """A tool reads journals that a later version wrote."""
    text = b'{"task_type":"a","topic":"b","tasks":[["AAECAwQFBgcICQoL",2,17,3,41,"more"]],"more":1}'
    assert msgspec.json.decode(text, type=PublishedTasks) == PublishedTasks("a", "b", [TASK])
