"""Pages of pending tasks, from answers of Restate that a test makes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import pytest
from tests.unit.operations.journal_rows import CAKE, SOUP, command, sent, signal, value

from kallback.operations import (
    AnswerCutOffError,
    AnswerTooLargeError,
    InvalidCursorError,
    PendingTasks,
    TaskFilter,
    TaskState,
    UnreadableJournalsError,
)
from kallback.operations.journals.entries import StepRow
from kallback.protocol import ConfigurationError, KallbackError
from kallback.settings import Settings

Row = TypeVar("Row")
FIRST, SECOND = f"inv_1{'a' * 33}", f"inv_1{'b' * 33}"
WATCH = {"attempt": 1, "dispatched_ms": 6, "awakeable_id": f"sign_1{'A' * 32}AAAAEQ"}
CREATED = "2026-01-01T00:00:0{}.000Z"


@dataclass
class FakeIntrospection:
    """Answers from lists; journals are found by the ids in the query."""

    invocations: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    rows_of: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    states: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    most: int = 1000
    error: type[KallbackError] = AnswerTooLargeError
    asked: list[str] = field(default_factory=list[str])

    def waits(self, invocation: str, *tasks: list[Any], **members: Any) -> None:
        """An invocation that has published tasks in one step."""
        number = len(self.invocations)
        service = members.pop("service", "Shop")
        columns = {"target": f"{service}/order", "target_service_name": service, "target_handler_name": "order"}
        created = {"status": "suspended", "created_at": CREATED.format(number), "journal_size": 6}
        self.invocations.append({"id": invocation} | columns | created)
        self.rows_of[invocation] = [
            command(f"publish {len(tasks)} cook", 3, invocation),
            value(3, sent(*tasks, **members), invocation),
        ]

    async def rows(self, sql: str, kind: type[Row]) -> list[Row]:
        """Answer as Restate does, as far as the caller can tell."""
        self.asked.append(sql)
        if "FROM sys_invocation_status" in sql:
            found = [
                each for each in self.invocations if "id >=" not in sql or each["id"] >= sql.split("id >= '")[1][:38]
            ]
            return msgspec.convert(found[: int(sql.rpartition(" ")[2])], list[kind])  # type: ignore[valid-type]
        if "FROM state" in sql:
            states = [{"service_key": key, "value_utf8": json.dumps(state)} for key, state in self.states.items()]
            return msgspec.convert([each for each in states if each["service_key"] in sql], list[kind])  # type: ignore[valid-type]
        named = [invocation for invocation in self.rows_of if invocation in sql]
        if len(named) > self.most:
            raise self.error
        return [row for invocation in named for row in self.rows_of[invocation] if isinstance(row, kind)]


def pending(introspection: FakeIntrospection) -> PendingTasks:
    """What reads them, in the default environment."""
    return PendingTasks(introspection, Settings(), clock=lambda: 1.0)


async def ids(introspection: FakeIntrospection, wanted: TaskFilter | None = None) -> list[str]:
    """The ids of all tasks, read in one go."""
    return [task.task_id async for page in pending(introspection).each(wanted or TaskFilter()) for task in page.tasks]


async def test_a_page_says_where_the_next_one_begins() -> None:
    """Also in the middle of an invocation; the last page has no cursor."""
    introspection = FakeIntrospection()
    introspection.waits(FIRST, [SOUP, 1, 17, 0, 0], [CAKE, 1, 18, 0, 1])
    introspection.waits(SECOND, ["CCECAwQFBgcICQoL", 1, 17, 0, 2])
    pages = [await pending(introspection).page(limit=1)]
    while pages[-1].cursor is not None:
        pages.append(await pending(introspection).page(cursor=pages[-1].cursor, limit=1))
    assert [[task.task_id for task in page.tasks] for page in pages] == [[SOUP], [CAKE], ["CCECAwQFBgcICQoL"]]


async def test_all_tasks_are_listed_with_one_query_of_journals() -> None:
    """The values of kallback's steps come with their names; no journal is read twice."""
    introspection = FakeIntrospection()
    for invocation, task_id in ((FIRST, SOUP), (SECOND, CAKE)):
        introspection.waits(invocation, [task_id, 1, 17, 0, 0])
        step, its_value = introspection.rows_of[invocation]
        introspection.rows_of[invocation] = [step, StepRow(invocation, 4, "{}", None, its_value.entry_json)]
    assert await ids(introspection) == [SOUP, CAKE]
    assert len([sql for sql in introspection.asked if "FROM sys_journal" in sql]) == 1


async def test_tasks_of_another_environment_are_not_listed() -> None:
    """Several environments share a Restate."""
    introspection = FakeIntrospection()
    introspection.waits(FIRST, [SOUP, 1, 17, 0, 0], audience="team-a.results")
    assert await ids(introspection) == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (TaskFilter(types=frozenset({"cook"})), [SOUP]),
        (TaskFilter(types=frozenset({"bake"})), []),
        (TaskFilter(handlers=frozenset({"Shop"})), [SOUP]),
        (TaskFilter(handlers=frozenset({"Shop/order"})), [SOUP]),
        (TaskFilter(handlers=frozenset({"Shop/pay"})), []),
        (TaskFilter(created_before_ms=5), []),
        (TaskFilter(created_before_ms=6), [SOUP]),
        (TaskFilter(deadline_before_ms=1_000_000), []),
        (TaskFilter(deadline_before_ms=1_000_001), [SOUP]),
        (TaskFilter(states=frozenset({TaskState.SENT})), [SOUP]),
        (TaskFilter(states=frozenset({TaskState.RUNNING})), []),
    ],
)
async def test_filters(wanted: TaskFilter, found: list[str]) -> None:
    """Each condition must hold."""
    introspection = FakeIntrospection()
    introspection.waits(FIRST, [SOUP, 1, 17, 0, 0])
    assert await ids(introspection, wanted) == found


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"watch": WATCH}, TaskState.NOT_STARTED),
        ({"watch": WATCH, "started_ms": 7, "details": {"done": 3}}, TaskState.RUNNING),
        ({"watch": WATCH | {"attempt": 2}, "started_ms": 7}, TaskState.SENT),
        ({"watch": WATCH | {"awakeable_id": "sign_1x"}, "started_ms": 7}, TaskState.SENT),
        ({"unknown": True}, TaskState.SENT),
    ],
)
async def test_the_state_of_a_task_with_heartbeats(state: dict[str, Any], expected: TaskState) -> None:
    """It comes from `TaskMonitor`, for the current attempt only."""
    introspection = FakeIntrospection(states={SOUP: state})
    introspection.waits(FIRST, [SOUP, 1, 17, 0, 0], monitored=True)
    [task] = (await pending(introspection).page()).tasks
    assert task.state is expected


async def test_a_task_without_heartbeats_is_not_asked_for() -> None:
    """`TaskMonitor` does not know it."""
    introspection = FakeIntrospection()
    introspection.waits(FIRST, [SOUP, 1, 17, 0, 0])
    await pending(introspection).page()
    assert not [sql for sql in introspection.asked if "FROM state" in sql]


@pytest.mark.parametrize("error", [AnswerTooLargeError, AnswerCutOffError])
async def test_journals_that_are_too_large_together_are_read_apart(error: type[KallbackError]) -> None:
    """What is in memory at one time is bounded, and a busy Restate gives large queries up."""
    introspection = FakeIntrospection(most=1, error=error)
    introspection.waits(FIRST, [SOUP, 1, 17, 0, 0])
    introspection.waits(SECOND, [CAKE, 1, 17, 0, 1])
    assert len((await pending(introspection).page()).tasks) == 2


async def test_a_journal_that_is_too_large_alone_is_counted() -> None:
    """The page says that it is not complete."""
    introspection = FakeIntrospection(most=0)
    introspection.waits(FIRST, [SOUP, 1, 17, 0, 0])
    page = await pending(introspection).page()
    assert not page.tasks
    assert page.unreadable == {FIRST}


async def test_a_task_that_may_be_in_an_unreadable_journal_is_not_called_ended() -> None:
    """Nothing is known of it."""
    introspection = FakeIntrospection(most=0)
    introspection.waits(FIRST, [SOUP, 1, 17, 0, 0])
    with pytest.raises(UnreadableJournalsError, match="may be in one of them"):
        await pending(introspection).find(SOUP)


async def test_a_query_that_fails_alone_is_an_error() -> None:
    """Restate has no time for it now."""
    introspection = FakeIntrospection(most=0, error=AnswerCutOffError)
    introspection.waits(FIRST, [SOUP, 1, 17, 0, 0])
    with pytest.raises(AnswerCutOffError):
        await pending(introspection).page()


async def test_one_task_is_found_by_its_id() -> None:
    """By its journal; an id that is none is not looked for."""
    introspection = FakeIntrospection()
    introspection.waits(FIRST, [SOUP, 1, 17, 0, 0], [CAKE, 1, 18, 0, 1])
    found = await pending(introspection).find(CAKE)
    assert found is not None
    assert found.position is not None
    assert found.position.offset == 1
    assert await pending(introspection).find("x' OR 1=1") is None


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "1",
        "2026-01-01T00:00:00Z~inv_1'--~0",
        "2026-13-01T00:00:00Z~inv_1~0",
        "2262-01-01T00:00:00Z~inv_1~0",
        "x" * 10_000,
    ],
)
async def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    """It comes from outside, and goes into a query."""
    with pytest.raises(InvalidCursorError, match="begin without one"):
        await pending(FakeIntrospection()).page(cursor=cursor)


@pytest.mark.parametrize(
    ("results", "untaken"),
    [
        ([(17, 4), (18, 5)], [SOUP, CAKE]),
        ([(17, 3), (18, 5)], [CAKE]),
        ([(17, 3), (18, 4)], []),
        ([(17, 5)], []),
    ],
    ids=["both came last", "a step between them", "a step behind them", "it waits for the other"],
)
async def test_results_that_came_last_were_not_taken(results: list[tuple[int, int]], untaken: list[str]) -> None:
    """Where the handler has done something since, or waits for another task, nothing is to be said."""
    introspection = FakeIntrospection()
    introspection.waits(FIRST, [SOUP, 1, 17, 0, 0], [CAKE, 1, 18, 0, 1])
    introspection.rows_of[FIRST] += [signal(number, FIRST, place) for number, place in results]
    page = await pending(introspection).page()
    assert [each.task_id for each in page.untaken] == untaken
    found = [await pending(introspection).find_untaken(each) for each in (SOUP, CAKE)]
    assert [each.task_id for each in found if each is not None] == untaken


@pytest.mark.parametrize(
    ("wanted", "members"),
    [
        (TaskFilter(types=frozenset({"bake"})), {}),
        (TaskFilter(states=frozenset({TaskState.RUNNING})), {}),
        (TaskFilter(), {"audience": "team-a.results"}),
    ],
)
async def test_results_that_were_not_taken_are_filtered(wanted: TaskFilter, members: dict[str, str]) -> None:
    """As tasks are; of environments that share a Restate, each says its own."""
    introspection = FakeIntrospection()
    introspection.waits(FIRST, [SOUP, 1, 17, 0, 0], **members)
    introspection.rows_of[FIRST].append(signal(17, FIRST, 5))
    assert (await pending(introspection).page(wanted)).untaken == ()


@pytest.mark.parametrize(
    ("task", "members"),
    [
        (["AAECAwQFBgcICQoL", 1, 17, 0, 3], {"deadline_ms": 10**30}),
        (["AAECAwQFBgcICQoL", 1, 17, 0, 3], {"created_ms": -(10**30)}),
        (["AAECAwQFBgcICQoL", 1, 17, 0, 3], {"created_ms": -1}),
        (["AAECAwQFBgcICQoL", 10**25, 17, 0, 3], {}),
        (["AAECAwQFBgcICQoL", 1, 17, 10**10, 3], {}),
        (["AAECAwQFBgcICQoL", 1, 17, 0, 10**19], {}),
        (["AAECAwQFBgcICQoL", 1, 17, 0, -3], {}),
        (["AAECAwQFBgcICQoL", 1, 17, 0, 3], {"topic": "x" * 100_000}),
        (["AAECAwQFBgcICQoL", 1, 17, 0, 3], {"topic": ""}),
        (["AAECAwQFBgcICQoL", 1, 17, 0, 3], {"task_type": "cook\n"}),
    ],
)
async def test_what_a_handler_forges_in_its_journal_hides_no_task_of_others(
    task: list[Any], members: dict[str, Any]
) -> None:
    """No list can show it, no client of Kafka takes it: its journal is one that cannot be read."""
    fake = FakeIntrospection()
    fake.waits(FIRST, task, **members)
    fake.waits(SECOND, ["BBECAwQFBgcICQoL", 1, 17, 0, 3])
    page = await pending(fake).page()
    assert [str(each.task_id) for each in page.tasks] == ["BBECAwQFBgcICQoL"]
    assert page.unreadable == frozenset({FIRST})


@pytest.mark.parametrize("state", [{"heartbeat_ms": 10**30}, {"started_ms": -(10**30)}])
async def test_a_state_that_cannot_be_shown_is_none(state: dict[str, Any]) -> None:
    """Its task is listed without it."""
    fake = FakeIntrospection()
    fake.waits(FIRST, ["AAECAwQFBgcICQoL", 1, 17, 0, 3], monitored=True)
    fake.states["AAECAwQFBgcICQoL"] = {"watch": WATCH} | state
    (task,) = (await pending(fake).page()).tasks
    assert task.progress is None


async def test_the_same_page_again_ends_the_reading() -> None:
    """What answers is a cache in front of Restate: the list would never end."""

    class Cached(FakeIntrospection):
        async def rows(self, sql: str, kind: type[Row]) -> list[Row]:
            return await super().rows(sql.replace("id >=", ""), kind)

    fake = Cached()
    for number in range(1000):
        fake.waits(f"inv_1{number:033d}")
        fake.invocations[-1]["created_at"] = CREATED.format(1)
    with pytest.raises(ConfigurationError, match="the same invocations again"):
        await ids(fake)


@pytest.mark.parametrize("column", [{"created_at": "yesterday"}, {"id": "inv_1'; DROP"}])
async def test_a_row_that_is_not_restates_cannot_be_read(column: dict[str, Any]) -> None:
    """The decoder says so, and `Introspection` makes a sentence of it."""
    fake = FakeIntrospection()
    fake.waits(FIRST)
    fake.invocations[0] |= column
    with pytest.raises(msgspec.ValidationError):
        await ids(fake)
