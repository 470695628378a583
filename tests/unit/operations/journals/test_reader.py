"""Journals are read anew only when they have grown."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from tests.unit.operations.journal_rows import CAKE, SOUP, command, sent, signal, value

from kallback.operations import AnswerTooLargeError
from kallback.operations.journals.entries import StepRow
from kallback.operations.journals.journal import Journal
from kallback.operations.journals.reader import JournalReader

Row = TypeVar("Row")
FIRST, SECOND, THIRD = (f"inv_1{letter * 33}" for letter in "abc")
NOW_MS = 1000


@dataclass
class FakeJournals:
    """Answers from lists, and counts how often steps of an invocation were asked for."""

    rows_of: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    asked: Counter[str] = field(default_factory=Counter[str])
    too_large: str = ""

    def publishes(self, invocation: str, task_id: str, number: int = 17) -> None:
        """An invocation publishes one task."""
        self.rows_of[invocation] = [
            command(f"publish cook {task_id}", 3, invocation),
            value(3, sent([task_id, 1, number, 0, 0]), invocation),
        ]

    async def rows(self, sql: str, kind: type[Row]) -> list[Row]:
        """Answer as Restate does."""
        named = [invocation for invocation in (FIRST, SECOND, THIRD) if invocation in sql]
        if self.too_large in named:
            raise AnswerTooLargeError("too large")
        if kind is StepRow and "publish" in sql:
            self.asked.update(named)
        return [row for invocation in named for row in self.rows_of.get(invocation, []) if isinstance(row, kind)]


def waiting(journal: Journal) -> list[str]:
    """The ids of the tasks that an invocation waits for."""
    return [attempt.task.task_id for attempt in journal.attempts(NOW_MS)]


async def test_a_journal_of_the_same_length_is_not_read_again() -> None:
    """A waiting handler is listed every few seconds, and its journal stays as it is."""
    server = FakeJournals()
    server.publishes(FIRST, SOUP)
    reader = JournalReader(server)
    for _ in range(3):
        assert waiting((await reader.read({FIRST: 6}))[FIRST]) == [SOUP]
    assert server.asked == {FIRST: 1}


async def test_a_journal_that_has_grown_is_read_again() -> None:
    """The result came; the journal of another handler is still known."""
    server = FakeJournals()
    server.publishes(FIRST, SOUP)
    server.publishes(SECOND, CAKE)
    reader = JournalReader(server)
    await reader.read({FIRST: 6, SECOND: 6})
    server.rows_of[FIRST].append(signal(17, FIRST))
    found = await reader.read({FIRST: 7, SECOND: 6})
    assert [waiting(found[each]) for each in (FIRST, SECOND)] == [[], [CAKE]]
    assert server.asked == {FIRST: 2, SECOND: 1}


async def test_a_handler_that_does_not_use_kallback_has_an_empty_journal_that_is_kept_too() -> None:
    """Most invocations of a Restate may be of other services."""
    server = FakeJournals()
    reader = JournalReader(server)
    for _ in range(2):
        assert waiting((await reader.read({FIRST: 6}))[FIRST]) == []
    assert server.asked == {FIRST: 1}


async def test_what_is_kept_is_bounded_and_what_was_used_last_stays() -> None:
    """Each of these journals counts as four: itself, its step, its task and the attempt."""
    server = FakeJournals()
    for invocation in (FIRST, SECOND, THIRD):
        server.publishes(invocation, SOUP)
    reader = JournalReader(server, kept=8)
    for invocation in (FIRST, SECOND, FIRST, THIRD, FIRST, SECOND):
        await reader.read({invocation: 6})
    assert server.asked == {FIRST: 1, SECOND: 2, THIRD: 1}


async def test_one_journal_that_is_too_large_is_unreadable_and_hides_no_other() -> None:
    """The others are asked for in smaller parts."""
    server = FakeJournals(too_large=SECOND)
    for invocation in (FIRST, SECOND, THIRD):
        server.publishes(invocation, SOUP)
    found = await JournalReader(server).read({FIRST: 6, SECOND: 6, THIRD: 6})
    assert [(waiting(found[each]), found[each].is_unreadable) for each in (FIRST, SECOND, THIRD)] == [
        ([SOUP], False),
        ([], True),
        ([SOUP], False),
    ]


def sealed(answers: int = 0) -> list[Any]:
    """The journal of a handler that waits for an approval, with a codec: only names of steps can be read."""
    answered = [signal(17 + number, FIRST) for number in range(answers)]
    create = StepRow(FIRST, 2, command("", 2).entry_lite_json, "create task approve")
    return [create, value(2, b"\x07\xfe encoded", FIRST), *answered]


@pytest.mark.parametrize(("rows", "is_unreadable"), [(sealed(), True), (sealed(answers=1), False)])
async def test_a_journal_whose_awakeables_are_encoded_is_unreadable(rows: list[Any], *, is_unreadable: bool) -> None:
    """They cannot be listed, but counted; which answer belongs to which is not known either."""
    server = FakeJournals({FIRST: rows})
    assert (await JournalReader(server).read({FIRST: 6}))[FIRST].is_unreadable is is_unreadable


async def test_a_task_that_is_about_to_be_published_is_no_encoded_awakeable() -> None:
    """Between two steps a journal has no more than the identity of the task."""
    create = StepRow(FIRST, 2, command("", 2).entry_lite_json, "create task cook")
    server = FakeJournals({FIRST: [create, value(2, b'{"task_id":"%b"}' % SOUP.encode(), FIRST)]})
    assert not (await JournalReader(server).read({FIRST: 6}))[FIRST].is_unreadable
