"""Which awakeables still wait whose tokens a handler handed out, by its journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.operations.journal_rows import (
    CAKE,
    DEADLINE_MS,
    INVOCATION,
    SOUP,
    command,
    created,
    deadline,
    fired,
    handed_out,
    sent,
    signal,
    value,
)

from kallback.operations.journals.entries import StepRow, ValueRow
from kallback.operations.journals.journal import LATE_GRACE_MS, Journal
from kallback.operations.journals.queries import creations_query, steps_query
from kallback.operations.journals.rows import add_creations, journals_of
from kallback.protocol.published import JournaledAwakeable
from kallback.sdk.journal.identity import TaskIdentity
from kallback.sdk.journal.token_awakeables import AwakeableStepSerde

NOW_MS = 1000
PIE = "CCECAwQFBgcICQoL"
ONE = (deadline(1, 1), created(2, 2))


def read(values: Sequence[ValueRow], creations: Sequence[StepRow], *steps: StepRow) -> Journal:
    """The journal of these rows of one invocation; some signal of Restate's own is always there."""
    found = journals_of([signal(16), *steps], values)
    add_creations(found, creations)
    return found[INVOCATION]


def unanswered(found: Journal, now_ms: int = NOW_MS) -> list[str]:
    """The ids of what is waited for."""
    return [each.value.task_id for each in found.unanswered(now_ms)]


def test_an_awakeable_without_an_answer_is_waited_for() -> None:
    """Type, signal, creation and deadline are in the value of the step that created it."""
    [waiting] = read([handed_out(2, SOUP, 17)], ONE).unanswered(NOW_MS)
    found = waiting.value
    assert (found.task_id, found.awakeable.task_type, found.awakeable.signal) == (SOUP, "approve", 17)
    assert (found.created_ms, found.deadline_ms, waiting.audience) == (5, DEADLINE_MS, "kallback.results")


def test_what_the_sdk_writes_is_what_is_read() -> None:
    """The value that a service of this version leaves in its journal."""
    serde = AwakeableStepSerde(JournaledAwakeable("approve", 17, "team-a.results"))
    content = serde.serialize(TaskIdentity(SOUP, DEADLINE_MS, cancel_key="k1", turn=3, created_ms=7))  # type: ignore[arg-type] # a test's own id
    [waiting] = read([value(2, content)], ONE).unanswered(NOW_MS)
    assert (waiting.value.task_id, waiting.audience, waiting.value.created_ms) == (SOUP, "team-a.results", 7)
    assert ",".join(map(str, content[:8])) in steps_query([INVOCATION])


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([signal(17)], "answered"),
        ([signal(1, place=9)], "cancelled"),
    ],
)
def test_an_awakeable_ends_with_its_answer_or_with_the_invocation(rows: list[StepRow], why: str) -> None:
    """Another signal of the invocation says nothing of it."""
    assert unanswered(read([handed_out(2, SOUP, 17)], ONE, *rows)) == [], why
    assert unanswered(read([handed_out(2, SOUP, 17)], ONE, signal(18))) == [SOUP]


def test_an_awakeable_ends_when_its_timer_fires() -> None:
    """The handler goes on then; an answer that comes later changes nothing. Other timers are of other tasks."""
    both = [handed_out(2, SOUP, 17), handed_out(4, CAKE, 18)]
    rows = [deadline(1, 1), created(2, 2), deadline(3, 4), created(4, 5)]
    assert unanswered(read(both, [*rows, fired(1, 7)])) == [CAKE]
    assert unanswered(read(both, [*rows, fired(3, 7)])) == [SOUP]
    assert unanswered(read(both, [*rows, fired(9, 7)])) == [SOUP, CAKE]


def test_an_awakeable_without_a_deadline_has_no_timer() -> None:
    """One before it may be that of many tasks of its type."""
    rows = [deadline(1, 1), created(3, 4), fired(1, 7)]
    assert unanswered(read([handed_out(3, SOUP, 17, deadline_ms=None)], rows), DEADLINE_MS * 2) == [SOUP]


def test_an_awakeable_that_was_made_after_a_cancel_is_waited_for() -> None:
    """The handler took the cancel, and asks somebody what to do now."""
    rows = [*ONE, deadline(3, 8), created(4, 9)]
    both = [handed_out(2, SOUP, 17), handed_out(4, CAKE, 18)]
    assert unanswered(read(both, rows, signal(1, place=7))) == [CAKE]


def test_an_awakeable_is_waited_for_until_its_deadline_and_a_little_longer() -> None:
    """As a task: Restate may be unavailable when the timer is due."""
    found = read([handed_out(2, SOUP, 17)], ONE)
    assert unanswered(found, DEADLINE_MS + LATE_GRACE_MS)
    assert not unanswered(found, DEADLINE_MS + LATE_GRACE_MS + 1)


def test_tasks_and_awakeables_are_in_the_order_of_their_steps() -> None:
    """Their numbers are the same whenever the journal is read, so that a page can begin at any of them."""
    values = [handed_out(8, PIE, 19), value(5, sent([CAKE, 1, 18, 0, 0])), handed_out(2, SOUP, 17)]
    rows = [created(2, 2), created(8, 8)]
    found = read(values, rows, command(f"publish cook {CAKE}", 5))
    assert [each.number for each in found.waiting(NOW_MS)] == [0, 1, 2]
    assert unanswered(found) == [SOUP, PIE]
    assert [each.task.task_id for each in found.attempts(NOW_MS)] == [CAKE]


@pytest.mark.parametrize(
    "creation",
    [created(3, 2), created(2, 2, "create task bake"), created(2, 2, "fetch"), created(2, 2, "create 2 tasks approve")],
)
def test_what_another_step_returned_is_no_awakeable(creation: StepRow) -> None:
    """It may come from anywhere, and a token is signed for what is listed."""
    assert unanswered(read([handed_out(2, SOUP, 17)], [deadline(1, 1), creation])) == []


@pytest.mark.parametrize(
    "members", [{"task_id": 7}, {"awakeable": {"signal": "17"}}, {"awakeable": {"task_type": None}}]
)
def test_a_value_of_a_later_version_is_passed_over(members: dict[str, Any]) -> None:
    """The other entries are read."""
    assert read([handed_out(2, SOUP, 17, **members)], ONE).awakeables is None


def test_a_journal_of_an_earlier_version_has_no_awakeables() -> None:
    """Its step has the identity alone; it is neither listed nor unreadable."""
    found = read([value(2, b'{"task_id":"%b","deadline_ms":9}' % SOUP.encode())], ONE)
    assert (found.awakeables, found.is_unreadable, found.waiting(NOW_MS)) == (None, False, [])


def test_only_what_is_needed_is_asked_for() -> None:
    """Names of steps and timers, and timers that fired: no values."""
    sql = creations_query([INVOCATION])
    assert "entry_json" not in sql.replace("entry_lite_json", "")
    assert INVOCATION in sql
