"""Why no handler waits for a task, from answers of Restate that a test makes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import pytest
from tests.unit.operations.journal_rows import CAKE, INVOCATION, SOUP, command, sent, signal, value

from kallback.operations import AbsenceCause, AbsentTask, AbsentTasks
from kallback.operations.journals.entries import StepRow
from kallback.operations.journals.queries import holder_queries

Row = TypeVar("Row")
OWN = "kallback.results"
CLOCK = 1.0


@dataclass
class FakeRestate:
    """One invocation and its journal; counts the queries that read all journals."""

    rows_of_journal: list[Any] = field(default_factory=list[Any])
    status: str = "suspended"
    is_found: bool = True
    is_named: bool = True
    journals: int = 1
    failure: str | None = None
    searches: int = 0
    counts: int = 0

    async def rows(self, sql: str, kind: type[Row]) -> list[Row]:
        """Answer as Restate does."""
        await asyncio.sleep(0)
        if "count(*)" in sql:
            self.counts += 1
            return msgspec.convert([{"kept": self.journals}], list[kind])  # type: ignore[valid-type]
        if "DISTINCT" in sql:
            self.searches += 1
            is_answer = self.is_found and (self.is_named or "Notification: Run" in sql)
            return msgspec.convert([{"id": INVOCATION}] if is_answer else [], list[kind])  # type: ignore[valid-type]
        if "sys_invocation" in sql:
            how = "success" if self.failure is None else "failure"
            end = {"completion_result": how, "completed_at": "2026-01-01T00:00:02.500Z"}
            end |= {} if self.failure is None else {"completion_failure": self.failure}
            known = {"id": INVOCATION, "target": "Shop/order", "status": self.status, "journal_size": 9}
            return msgspec.convert([known | (end if self.status == "completed" else {})], list[kind])  # type: ignore[valid-type]
        waits = "'wait for Kafka, then publish %'" in sql
        return [row for row in self.rows_of_journal if isinstance(row, kind) and waits == is_wait(row)]

    async def absent(self, task_id: str = SOUP) -> AbsentTask:
        """What is said of a task."""
        return await AbsentTasks(self, OWN, clock=lambda: CLOCK).explain(task_id)


def is_wait(row: Any) -> bool:
    """Whether it is a wait for Kafka."""
    return isinstance(row, StepRow) and (row.name or "").startswith("wait for Kafka")


def wait(until_ms: int) -> StepRow:
    """A wait before another try to publish."""
    sleep = {"Command": {"Sleep": {"wake_up_time": until_ms, "completion_id": 6}}}
    return StepRow(INVOCATION, 6, json.dumps(sleep), "wait for Kafka, then publish cook")


PUBLISHED = [command(f"publish cook {SOUP}", 3), value(3, sent([SOUP, 1, 17, 0, 0]))]
OF_A_TEAM = [command(f"publish cook {SOUP}", 3), value(3, sent([SOUP, 1, 17, 0, 0], audience="team-a.results"))]
REFUSED = [command(f"publish cook {SOUP}", 3), value(3, b'{"failures":{"0":{"type":"unreachable"}}}')]


@pytest.mark.parametrize(
    ("restate", "cause", "said"),
    [
        (FakeRestate(status="completed"), AbsenceCause.HANDLER_ENDED, "with success at 2026-01-01 00:00:02Z"),
        (FakeRestate([*PUBLISHED, signal(17)]), AbsenceCause.TASK_ENDED, "has its result, or gave it up"),
        (FakeRestate(OF_A_TEAM), AbsenceCause.OTHER_ENVIRONMENT, "audience team-a.results"),
        (FakeRestate([command(f"publish cook {SOUP}", 3)]), AbsenceCause.NOT_SENT, "tries to publish it"),
        (FakeRestate([*REFUSED, wait(1_500)]), AbsenceCause.NOT_SENT, "tries to publish it"),
        (FakeRestate([*REFUSED, wait(-60_000)]), AbsenceCause.TASK_ENDED, "does not wait for it any more"),
        (FakeRestate(is_found=False), AbsenceCause.UNKNOWN, "or the id is wrong"),
    ],
    ids=["handler ended", "result", "other team", "first try", "waits for Kafka", "given up", "unknown"],
)
async def test_one_cause_is_named(restate: FakeRestate, cause: AbsenceCause, said: str) -> None:
    """The sentence listed four that could be, and left it to its reader to find out which."""
    absent = await restate.absent()
    assert (absent.cause, said in absent.sentence) == (cause, True), absent.sentence
    assert absent.remedy


async def test_a_handler_that_failed_says_why() -> None:
    """A task that had no result in time has no outcome: only its handler knows. A stack trace is left out."""
    failure = "[408] no result of cook before its deadline\nTraceback"
    found = await FakeRestate(status="completed", failure=failure).absent()
    assert found.sentence.endswith("with failure at 2026-01-01 00:00:02Z ([408] no result of cook before its deadline)")


async def test_a_task_that_was_published_with_others_is_found_by_the_value_of_the_step() -> None:
    """Its id is in no name."""
    restate = FakeRestate(PUBLISHED, status="completed", is_named=False)
    assert (await restate.absent()).cause is AbsenceCause.HANDLER_ENDED
    assert restate.searches == 2


@pytest.mark.parametrize(("is_found", "searches"), [(True, 1), (False, 2)])
async def test_a_page_that_stays_open_has_all_journals_read_once(is_found: bool, searches: int) -> None:  # noqa: FBT001 - a parameter of the test
    """It is read anew every few seconds."""
    restate = FakeRestate(PUBLISHED, status="completed", is_found=is_found)
    tasks = AbsentTasks(restate, OWN, clock=lambda: CLOCK)
    assert [(await tasks.explain(SOUP)).cause for _ in range(3)] == [(await restate.absent()).cause] * 3
    assert restate.searches == 2 * searches


def test_only_an_id_gets_into_the_query() -> None:
    """It comes from outside."""
    assert f"publish % {CAKE}%" in holder_queries(CAKE)[0]
    with pytest.raises(ValueError, match="not the id of a task"):
        holder_queries("' OR 1=1 --")


async def test_very_many_journals_are_not_looked_through() -> None:
    """Restate has completions to take; the outcomes know what became of the task."""
    restate = FakeRestate(PUBLISHED, journals=200_001)
    absent = await restate.absent()
    assert (absent.cause, restate.searches) == (AbsenceCause.TOO_MANY_JOURNALS, 0)
    assert "more than 200,000 journals" in absent.sentence
    assert "outcomes list" in absent.remedy


async def test_many_who_ask_at_once_have_the_journals_read_once() -> None:
    """As browsers do that show the same page; also of a task that is not found."""
    restate = FakeRestate(is_found=False)
    tasks = AbsentTasks(restate, OWN, clock=lambda: CLOCK)
    await asyncio.gather(*(tasks.explain(SOUP) for _ in range(20)))
    assert (restate.searches, restate.counts) == (2, 1)


async def test_journals_that_have_become_very_many_are_not_looked_through_again() -> None:
    """A minute later a task that was not found is looked for again, if there are still few."""
    now = CLOCK
    restate = FakeRestate(is_found=False)
    tasks = AbsentTasks(restate, OWN, clock=lambda: now)
    await tasks.explain(SOUP)
    restate.journals, now = 200_001, CLOCK + 61
    causes = {(await tasks.explain(SOUP)).cause for _ in range(20)}
    assert (causes, restate.searches, restate.counts) == ({AbsenceCause.TOO_MANY_JOURNALS}, 2, 2)


async def test_what_cannot_be_an_id_is_not_looked_for() -> None:
    """As of a page's address."""
    restate = FakeRestate()
    absent = await restate.absent("soup")
    assert (absent.cause, restate.searches, restate.counts) == (AbsenceCause.NO_ID, 0, 0)
    assert absent.sentence.startswith("'soup' is not the id of a task")
    assert "tasks list" in absent.remedy
