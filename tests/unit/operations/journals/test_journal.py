"""Which tasks a handler waits for, by its journal."""

from __future__ import annotations

import json

import pytest
from tests.unit.operations.journal_rows import (
    CAKE,
    DEADLINE_MS,
    INVOCATION,
    SOUP,
    command,
    journal,
    sent,
    signal,
    value,
)

from kallback.operations.journals.journal import LATE_GRACE_MS, Journal
from kallback.operations.journals.queries import quoted, values_query
from kallback.protocol import PublishedTask

NOW_MS = 1000


def waiting(found: Journal, now_ms: int = NOW_MS) -> list[PublishedTask]:
    """The tasks that are waited for."""
    return [attempt.task for attempt in found.attempts(now_ms)]


def test_a_published_task_without_a_result_is_waited_for() -> None:
    """Its place is in the value of the step."""
    found = journal(command(f"publish cook {SOUP}", 3), value(3, sent([SOUP, 1, 17, 2, 40])))
    [attempt] = found.attempts(NOW_MS)
    assert (attempt.task.task_id, attempt.task.partition, attempt.task.offset) == (SOUP, 2, 40)
    assert (attempt.shared.task_type, attempt.shared.deadline_ms) == ("cook", DEADLINE_MS)


def test_a_task_with_a_result_is_not_waited_for() -> None:
    """Its awakeable's signal came; the other task of the same step has none."""
    both = value(3, sent([SOUP, 1, 17, 0, 0], [CAKE, 1, 18, 1, 0]))
    assert [task.task_id for task in waiting(journal(command("publish 2 cook", 3), both, signal(17)))] == [CAKE]


def test_the_latest_attempt_counts() -> None:
    """The first one failed: its signal says nothing of the second one."""
    found = journal(
        command(f"publish cook {SOUP}", 3),
        command(f"publish cook {SOUP} attempt 2", 8),
        value(8, sent([SOUP, 2, 18, 0, 1])),
        value(3, sent([SOUP, 1, 17, 0, 0])),
        signal(17),
    )
    assert [(task.attempt, task.offset) for task in waiting(found)] == [(2, 1)]


@pytest.mark.parametrize("reason", ["timed-out", "cancelled"])
def test_a_task_that_its_handler_gave_up_is_not_waited_for(reason: str) -> None:
    """The handler may go on with something else, long before the task's deadline."""
    found = journal(
        command(f"publish cook {SOUP}", 3),
        value(3, sent([SOUP, 1, 17, 0, 0])),
        command(f"cancel ({reason}) cook {SOUP}", 4),
    )
    assert not waiting(found)


def test_tasks_that_their_handler_gave_up_together_are_not_waited_for() -> None:
    """One step cancels them; its value has their ids, and a step of a user has not."""
    both = value(3, sent([SOUP, 1, 17, 0, 0], [CAKE, 1, 18, 1, 0]))
    given_up = value(5, json.dumps({"sent": None, "given_up": [SOUP, CAKE]}).encode())
    assert not waiting(journal(command("publish 2 cook", 3), both, command("cancel 2 (cancelled)", 5), given_up))
    assert waiting(journal(command("publish 2 cook", 3), both, command("cancel orders", 5), given_up))


def test_an_earlier_version_does_not_say_which_tasks_were_given_up_together() -> None:
    """They are waited for until their deadline."""
    both = value(3, sent([SOUP, 1, 17, 0, 0], [CAKE, 1, 18, 1, 0]))
    said = value(5, b'{"type":"sent","topic":"kallback.control","partition":0,"offset":3}')
    assert len(waiting(journal(command("publish 2 cook", 3), both, command("cancel 2 (cancelled)", 5), said))) == 2


def test_a_superseded_attempt_ends_no_task() -> None:
    """Its cancel is for the worker of that attempt alone."""
    found = journal(
        command(f"publish cook {SOUP}", 3),
        value(3, sent([SOUP, 1, 17, 0, 0])),
        command(f"cancel (superseded) cook {SOUP}", 4),
    )
    assert waiting(found)


def test_a_task_is_waited_for_until_its_deadline_and_a_little_longer() -> None:
    """The handler's timer decides, and the handler must be resumed for it."""
    found = journal(command(f"publish cook {SOUP}", 3), value(3, sent([SOUP, 1, 17, 0, 0])))
    assert waiting(found, DEADLINE_MS + LATE_GRACE_MS)
    assert not waiting(found, DEADLINE_MS + LATE_GRACE_MS + 1)


def test_a_task_that_kafka_did_not_take_is_not_listed() -> None:
    """There is no record of it."""
    found = journal(
        command(f"publish cook {SOUP}", 3), value(3, b'{"failures":{"0":{"type":"unreachable","detail":"no broker"}}}')
    )
    assert (waiting(found), found.is_unreadable) == ([], False)


def test_a_step_of_the_user_is_passed_over() -> None:
    """People publish things, too; their values are none of ours."""
    found = journal(command("publish news", 3), value(3, b"\x00\xff"))
    assert (found.without_values, waiting(found), found.is_unreadable) == ([], [], False)


def test_a_value_that_a_codec_encoded_is_counted() -> None:
    """The list says that it is not complete."""
    found = journal(command(f"publish cook {SOUP}", 3), value(3, b"\x00\xff"))
    assert (waiting(found), found.is_unreadable) == ([], True)


@pytest.mark.parametrize("text", ["", "x' OR '1' = '1", "inv_", "inv_1' --", "sign_1abc"])
def test_only_invocation_ids_come_into_a_query(text: str) -> None:
    """Whatever a cursor or a journal says."""
    with pytest.raises(ValueError, match="is not an invocation id"):
        quoted([INVOCATION, text])


def test_values_of_other_steps_are_not_asked_for() -> None:
    """They may be large, and are no concern of ours."""
    sql = values_query([(INVOCATION, 3), (INVOCATION, 12)])
    assert sql.count("LIKE") == 2
    assert '"CompletionId":12}' in sql
