"""Which tasks are between two attempts, by the journals of their handlers."""

from __future__ import annotations

import pytest
from tests.unit.operations.journal_rows import (
    CAKE,
    SOUP,
    back_off,
    command,
    head,
    journal,
    sent,
    signal,
    value,
)

from kallback.operations.journals.between_attempts import failed_signal
from kallback.operations.journals.entries import HeadRow, StepRow, ValueRow

NOW_MS = 1000
Rows = list[StepRow | ValueRow | HeadRow]
BOTH: Rows = [command("publish 2 cook", 3), value(3, sent([SOUP, 1, 17, 0, 0], [CAKE, 1, 18, 1, 0]))]


def waiting(rows: Rows) -> list[tuple[str, int, int | None]]:
    """The tasks that are waited for: id, attempt, and when the next one is sent."""
    found = journal(*rows).attempts(NOW_MS)
    return [(each.task.task_id, each.task.attempt, each.next_attempt_ms) for each in found]


def test_a_task_whose_next_attempt_is_waited_for_is_pending() -> None:
    """Its attempt failed, and a timer runs; it is not lost from the list meanwhile."""
    rows: Rows = [*BOTH, signal(18, place=6), back_off(1, 7, 9_000), head(18, CAKE)]
    assert waiting(rows) == [(SOUP, 1, None), (CAKE, 1, 9_000)]


def test_the_next_attempt_ends_the_pause() -> None:
    """Once it is published it is the one that runs."""
    again: Rows = [command(f"publish cook {CAKE} attempt 2", 9), value(9, sent([CAKE, 2, 19, 0, 1]))]
    rows: Rows = [*BOTH, signal(18, place=6), back_off(1, 7, 900), head(18, CAKE), *again]
    assert waiting(rows) == [(SOUP, 1, None), (CAKE, 2, None)]


def test_a_pause_that_is_over_still_leads_to_an_attempt() -> None:
    """Kafka may be unavailable, or TaskMonitor may not answer: the task must not be gone from the list then."""
    rows: Rows = [*BOTH, signal(18, place=6), back_off(1, 7, 900), head(18, CAKE)]
    assert waiting(rows)[1] == (CAKE, 1, 900)


def test_a_pause_names_its_task() -> None:
    """The other task failed for good right before it: both results came before the handler acted on the first one."""
    came: Rows = [signal(18, place=6), signal(17, place=7), head(18, CAKE), head(17, SOUP)]
    assert waiting([*BOTH, *came, back_off(1, 8, 9_000, CAKE)]) == [(CAKE, 1, 9_000)]
    assert waiting([*BOTH, *came, back_off(1, 8, 9_000, SOUP)]) == [(SOUP, 1, 9_000)]


def test_the_pause_of_a_later_attempt_names_its_task() -> None:
    """Of two tasks whose second attempts failed, one is at its end."""
    again: Rows = [
        command(f"publish cook {SOUP} attempt 2", 9),
        value(9, sent([SOUP, 2, 19, 0, 1])),
        command(f"publish cook {CAKE} attempt 2", 10),
        value(10, sent([CAKE, 2, 20, 0, 2])),
    ]
    pauses: Rows = [back_off(1, 5, 900, CAKE), back_off(1, 6, 900, SOUP), back_off(2, 13, 9_000, SOUP)]
    came: Rows = [signal(17, place=3), signal(18, place=4), signal(19, place=11), signal(20, place=12)]
    assert waiting([*BOTH, *again, *came, *pauses]) == [(SOUP, 2, 9_000)]


def test_results_are_not_read_where_pauses_name_their_tasks() -> None:
    """A journal of an earlier version needs them."""
    assert not journal(*BOTH, back_off(1, 7, 9_000, CAKE)).has_pauses_without_names
    assert journal(*BOTH, back_off(1, 7, 9_000)).has_pauses_without_names


def test_an_attempt_that_follows_without_a_pause_is_sent_now() -> None:
    """Its step has begun, and Kafka may be unavailable: the task is not lost from the list meanwhile."""
    rows: Rows = [*BOTH, signal(18, place=6), command(f"publish cook {CAKE} attempt 2", 9)]
    assert waiting(rows) == [(SOUP, 1, None), (CAKE, 1, NOW_MS)]
    unavailable: Rows = [value(9, b'{"failures":{"0":{"type":"unreachable","detail":"no broker"}}}')]
    assert waiting([*rows, *unavailable]) == [(SOUP, 1, None), (CAKE, 1, NOW_MS)]


def test_a_task_whose_next_attempt_kafka_refused_is_not_pending() -> None:
    """It has ended with `TaskNotSent`, although its pause is in the journal."""
    refused = b'{"failures":{"0":{"type":"refused","kind":"x","status":413,"detail":"too large"}}}'
    rows: Rows = [*BOTH, signal(18, place=6), back_off(1, 7, 900, CAKE), head(18, CAKE)]
    assert waiting([*rows, command(f"publish cook {CAKE} attempt 2", 9), value(9, refused)]) == [(SOUP, 1, None)]


def test_a_failure_without_a_pause_is_the_end() -> None:
    """One failed for good, the other one is followed by an attempt."""
    rows: Rows = [
        *BOTH,
        signal(17, place=6),
        signal(18, place=7),
        back_off(1, 8, 9_000),
        head(17, SOUP),
        head(18, CAKE),
    ]
    assert waiting(rows) == [(CAKE, 1, 9_000)]


def test_a_success_has_no_pause() -> None:
    """The pause belongs to the failure before it, whatever came in between."""
    rows: Rows = [*BOTH, signal(18, place=6), signal(17, place=7), back_off(1, 8, 9_000)]
    assert waiting([*rows, head(17, SOUP, "completed"), head(18, CAKE)]) == [(CAKE, 1, 9_000)]


def test_an_attempt_that_reached_its_own_timeout_is_followed_by_another() -> None:
    """No result came; one that comes late does not end the task either."""
    rows: Rows = [command(f"publish cook {SOUP}", 3), value(3, sent([SOUP, 1, 17, 0, 0])), back_off(1, 6, 9_000)]
    late: Rows = [signal(17, place=7), head(17, SOUP, "completed")]
    assert waiting(rows) == waiting([*rows, *late]) == [(SOUP, 1, 9_000)]


def test_a_task_that_was_given_up_in_its_pause_is_not_pending() -> None:
    """Its timer stays in the journal."""
    rows: Rows = [*BOTH, signal(18, place=6), back_off(1, 7, 9_000), head(18, CAKE)]
    assert waiting([*rows, command(f"cancel (timed-out) cook {CAKE}", 8)]) == [(SOUP, 1, None)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (head(17, SOUP), 17),
        (head(17, SOUP, length=420), 17),
        (head(17, SOUP, "completed"), None),
        (HeadRow("inv_1", '{"Notification":{"Signal":{"id":{"Index":17},"result":{"Success":[300,1]}}}}'), None),
        (HeadRow("inv_1", '{"Notification":{"Signal":{"id":{"Name":"mine"},"result":"Void"}}}'), None),
    ],
)
def test_a_failure_is_told_by_the_beginning_of_its_envelope(row: HeadRow, expected: int | None) -> None:
    """The rest may be cut off; what is no envelope is no failure."""
    assert failed_signal(row.head) == expected
