"""`kallback tasks list | show | complete | fail | retry | cancel`, with Restate's answers and Kafka in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec
import pytest
from click.testing import CliRunner, Result

from kallback.cli.tasks.commands import tasks
from kallback.cli.tasks.factories import OperationsFactories
from kallback.cli.tasks.lookup import NoPendingTaskError
from kallback.cli.tasks.rows import invocation_facts
from kallback.kafka import MemoryBroker, MemoryProducer, MemoryReader, OutgoingRecord, Position, Record
from kallback.operations import InvocationStatus, NotAnswerableError
from kallback.operations.absent import TaskHolder
from kallback.operations.journals.entries import StepRow, ValueRow
from kallback.protocol import (
    AccessDeniedError,
    Attempt,
    ConfigurationError,
    KallbackError,
    MissingTopicError,
    Outcome,
    OutcomeRecord,
    RestateUnavailableError,
    SourcePosition,
    TaskHeaders,
    TaskId,
)

Row = TypeVar("Row")
T = TypeVar("T")
ID = TaskId("-AECAwQFBgcICQoL")
INVOCATION = f"inv_1{'1' * 33}"
TOKEN = "kb1:k:cook:x"
HEADERS = TaskHeaders(TOKEN, ID, Attempt(1), "cook", "kallback.results", hand_back=True)


@dataclass
class Shop:
    """One handler waits for one task, whose id begins with a dash as those of earlier versions may."""

    broker: MemoryBroker = field(default_factory=MemoryBroker)
    target: str = "Shop/order"
    at: Position = field(init=False)

    def __post_init__(self) -> None:
        """Publish the task."""
        for topic in ("cook", "kallback.results", "kallback.control", "kallback.outcomes"):
            self.broker.create_topic(topic)
        self.at = self.broker.append(OutgoingRecord("cook", b'{"dish": "\x1b[2Jsoup"}', b"table 7", HEADERS.encode()))

    async def rows(self, sql: str, kind: type[Row]) -> list[Row]:
        """Answer as Restate does."""
        return msgspec.convert([{"id": INVOCATION, "index": 4} | row for row in self._rows(sql, kind)], list[kind])  # type: ignore[valid-type]

    def _rows(self, sql: str, kind: type[Any]) -> list[dict[str, Any]]:
        if kind is StepRow:
            command = {"Command": {"Run": {"completion_id": 3}}}
            return [{"name": f"publish cook {ID}", "entry_lite_json": json.dumps(command)}]
        if kind is ValueRow:
            sent = {"task_type": "cook", "topic": "cook", "tasks": [[ID, 1, 17, self.at.partition, self.at.offset]]}
            value = list(json.dumps({"sent": sent}).encode())
            completion = {"Run": {"completion_id": 3, "result": {"Success": value}}}
            return [{"entry_json": json.dumps({"Notification": {"Completion": completion}})}]
        if "FROM state" in sql:
            return []
        if "count(*)" in sql:
            return [{"kept": 1}]
        names = {"target_service_name": "Shop", "target_handler_name": "order", "created_at": "2026-01-01T00:00:00Z"}
        failing = {"target": self.target, "status": "backing-off", "retry_count": 3, "last_failure": "no oven"}
        return [names | failing | {"journal_size": 6}]

    def factories(self) -> OperationsFactories:
        """What the commands use."""

        @asynccontextmanager
        async def introspection() -> AsyncIterator[Shop]:
            yield self

        async def find(at: Position) -> Record | None:
            return next((each for each in self.broker.records(at.topic) if each.offset == at.offset), None)

        async def find_many(positions: Iterable[Position], keep: Callable[[Record], T]) -> dict[Position, T]:
            found = [(at, await find(at)) for at in positions]
            return {at: keep(record) for at, record in found if record is not None}

        return OperationsFactories(
            introspection,
            find,
            find_many,
            lambda: MemoryProducer(self.broker),
            lambda topic, _: MemoryReader(self.broker, topic),
        )

    def run(self, *arguments: str) -> Result:
        """Run a command."""
        return CliRunner().invoke(tasks, [*arguments], obj=self.factories())

    def sent(self) -> tuple[dict[str, bytes | None], Any]:
        """The headers and the value of the one result."""
        [record] = self.broker.records("kallback.results")
        return dict(record.headers), json.loads(record.value or b"")


@pytest.fixture
def shop() -> Shop:
    """One."""
    return Shop()


class Restless(Shop):
    """Restate answers, then is overloaded once, and then the operator has seen enough."""

    answers = 0

    async def rows(self, sql: str, kind: type[Row]) -> list[Row]:
        """Count the lists that are asked for."""
        if "ORDER BY created_at" in sql:
            self.answers += 1
        if self.answers == 2:
            raise RestateUnavailableError("Restate answers no more queries for now")
        if self.answers == 4:
            raise KeyboardInterrupt
        return await super().rows(sql, kind)


def test_a_list_that_is_watched_goes_on_after_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so in its place, until Ctrl-C; a list that was never there ends the command."""
    monkeypatch.setattr("kallback.cli.tasks.commands._WATCH_S", 0)
    shown = Restless().run("list", "--watch")
    assert [line.split()[0] for line in shown.stdout.splitlines() if line] == [ID, ID]
    assert "no more queries for now. Trying again." in shown.stderr
    assert (shown.exit_code, "Aborted" in shown.stderr) == (0, False)
    overloaded = Restless()
    overloaded.answers = 1
    assert isinstance(overloaded.run("list", "--watch").exception, RestateUnavailableError)


def test_a_long_key_does_not_spread_the_lines_of_a_list() -> None:
    """The key of a virtual object may have any length; `--json` has all of it."""
    shop = Shop(target=f"Carts/{'k' * 10_000}/pay")
    line = shop.run("list").stdout
    assert len(line) < 300
    assert "Carts/kkk" in line
    assert "kkk/pay" in line
    assert json.loads(shop.run("list", "--json").stdout)["target"] == shop.target


def test_the_list_has_a_line_for_each_task(shop: Shop) -> None:
    """Id, type, state, handler and invocation."""
    result = shop.run("list")
    assert result.exit_code == 0
    words = result.stdout.split()
    assert (words[0], words[1], words[2]) == (ID, "cook", "sent")
    assert words[-2:] == ["Shop/order", INVOCATION]
    assert result.stderr == "1 pending task.\n"


@pytest.mark.parametrize(
    "filters", [["--type", "bake"], ["--not-started"], ["--handler", "Cart"], ["--deadline-within", "1h"]]
)
def test_filters_leave_out(shop: Shop, filters: list[str]) -> None:
    """Then the list is empty, and says that there may be others."""
    result = shop.run("list", *filters)
    assert (result.stdout, result.stderr) == ("", "No pending tasks that match.\n")


def test_the_list_as_json(shop: Shop) -> None:
    """One object per line, times in epoch milliseconds."""
    found = json.loads(shop.run("list", "--json").stdout)
    assert (found["task"], found["created"], found["deadline"], found["offset"]) == (ID, 1767225600000, None, 0)


def test_a_task_is_shown_without_its_token(shop: Shop) -> None:
    """An id that begins with a dash is an argument; control characters of a request do not reach the terminal."""
    result = shop.run("show", ID)
    assert result.exit_code == 0
    assert "the handler has failed 3 times since" in result.stdout
    assert "no oven" in result.stdout
    assert "\\x1b[2Jsoup" in result.stdout
    assert "kb1:k:cook" not in result.stdout


@pytest.mark.parametrize(
    ("status", "count", "said"),
    [
        ("backing-off", 1, "the handler has failed 1 time "),
        ("paused", 1200, "the handler has failed 1,200 times "),
        ("running", 3, "the handler has failed 2 times "),
    ],
)
def test_how_often_an_invocation_has_failed(status: str, count: int, said: str) -> None:
    """As other counts are written; a run that goes on has not failed."""
    facts = list(invocation_facts(InvocationStatus("inv_1", "Shop/order", status, count, "no oven")))
    assert facts[1][1].startswith(said)


def test_a_handler_that_never_failed_is_not_said_to_have_been_started_again() -> None:
    """Restate counts the first start, too."""
    facts = list(invocation_facts(InvocationStatus("inv_1", "Shop/order", "running", 1)))
    assert facts == [("", "Restate says: running (its handler works, or waits and is suspended later)")]


def test_a_task_has_one_word_for_the_state_of_its_invocation(shop: Shop) -> None:
    """Restate has two tables with two words, such as invoked and running."""
    lines = shop.run("show", ID).stdout.splitlines()
    assert [line.split()[-1] for line in lines if line.startswith("invocation")] == [INVOCATION]
    assert sum("Restate says: " in line for line in lines) == 1


def test_a_task_is_shown_as_json(shop: Shop) -> None:
    """With what Restate says of the invocation."""
    found = json.loads(shop.run("show", ID, "--json").stdout)
    assert (found["key"], found["failures"], found["failure"]) == ("table 7", 3, "no oven")


@pytest.mark.parametrize("error", [MissingTopicError("no topic cook"), AccessDeniedError("reading cook (READ) failed")])
def test_a_task_is_shown_without_its_record(shop: Shop, error: KallbackError) -> None:
    """A topic that is gone, or may not be read, hides the request alone, and the reason is in its place."""

    async def find(_: Position) -> Record | None:
        raise error

    factories = replace(shop.factories(), find=find)
    shown = CliRunner().invoke(tasks, ["show", ID], obj=factories)
    members = CliRunner().invoke(tasks, ["show", ID, "--json"], obj=factories)
    assert (shown.exit_code, members.exit_code) == (0, 0)
    assert "no oven" in shown.stdout
    assert str(error) in shown.stdout
    assert json.loads(members.stdout)["record"] == str(error)


class Ended(Shop):
    """The invocation that had the task has ended."""

    def _rows(self, sql: str, kind: type[Any]) -> list[dict[str, Any]]:
        ended = {"target": "Shop/order", "status": "completed", "completed_at": "2026-01-01T00:00:02Z"}
        return [ended] if kind is TaskHolder else super()._rows(sql, kind)


def test_a_task_that_has_ended_is_said_to_have_ended() -> None:
    """With its handler, and where its results are; no other cause is named."""
    error = Ended().run("show", "BBBBBBBBBBBBBBBB").exception
    assert isinstance(error, NoPendingTaskError)
    assert str(error) == (
        f"task BBBBBBBBBBBBBBBB has ended, and so has its handler Shop/order ({INVOCATION}, completed), at 2026-01-01 "
        "00:00:02Z: `kallback outcomes list --task BBBBBBBBBBBBBBBB` shows its results, if any came"
    )


class Encoded(Ended):
    """Another open invocation has a journal that is encoded."""

    def _rows(self, sql: str, kind: type[Any]) -> list[dict[str, Any]]:
        encoded = {"Run": {"completion_id": 3, "result": {"Success": [1, 2, 3]}}}
        value = {"entry_json": json.dumps({"Notification": {"Completion": encoded}})}
        return [value] if kind is ValueRow else super()._rows(sql, kind)


def test_a_task_that_has_ended_is_told_from_those_in_encoded_journals() -> None:
    """Names of steps are readable, and an end is an end."""
    error = Encoded().run("show", "BBBBBBBBBBBBBBBB").exception
    assert isinstance(error, NoPendingTaskError)
    assert "has ended, and so has its handler" in str(error)


def test_a_task_is_completed_in_somebodys_name(shop: Shop) -> None:
    """Through Kafka."""
    result = shop.run("complete", ID, "--value", '{"minutes": 12}', "--by", "alice", "--why", "by phone")
    assert result.exit_code == 0, result.output
    headers, value = shop.sent()
    assert value == {"minutes": 12}
    assert (headers["kallback-by"], headers["kallback-why"]) == (b"alice", b"by phone")


def test_a_task_fails_in_somebodys_name(shop: Shop) -> None:
    """The error's detail says who and why, unless another one is given."""
    shop.run(
        "fail", ID, "--error-type", "NoGas", "--status", "422", "--not-retryable", "--by", "alice", "--why", "no gas"
    )
    value = shop.sent()[1]
    assert (value["type"], value["status"], value["retryable"]) == ("NoGas", 422, False)
    assert value["detail"] == "failed by alice: no gas"


def test_a_retry_hands_back(shop: Shop) -> None:
    """The caller sends the next attempt."""
    assert shop.run("retry", ID, "--by", "alice").exit_code == 0
    assert shop.sent()[1]["type"] == "urn:kallback:handed-back"


def test_a_cancel_reaches_workers_and_handler(shop: Shop) -> None:
    """This task asks for no secret, as those of earlier versions."""
    assert shop.run("cancel", ID, "--by", "alice").exit_code == 0
    assert len(shop.broker.records("kallback.control")) == 1
    assert shop.sent()[1]["type"] == "urn:kallback:cancelled-by-hand"


def test_what_is_not_json_is_not_sent(shop: Shop) -> None:
    """The handler could not read it."""
    result = shop.run("complete", ID, "--value", "{", "--by", "alice")
    assert isinstance(result.exception, NotAnswerableError)
    assert not shop.broker.records("kallback.results")


def test_a_name_that_cannot_be_shown_is_refused(shop: Shop) -> None:
    """It stands in outcome records and lists."""
    result = shop.run("retry", ID, "--by", "\x1b[2J")
    assert (result.exit_code, "--by or --why" in result.stderr) == (2, True)


def test_a_task_is_shown_with_what_was_done_to_it(shop: Shop) -> None:
    """By whom and why; outcomes of other tasks are left out."""
    source = SourcePosition("kallback.results", 0, 1, 0)
    done = OutcomeRecord(
        Outcome.DELIVERED, source, 1, task_id=ID, attempt=1, by="ann", why="its \u009b worker hangs", did="retried"
    )
    for outcome in (done, replace(done, task_id="another", by="eve")):
        shop.broker.append(OutgoingRecord("kallback.outcomes", outcome.encode()))
    people, programs = shop.run("show", ID, "--outcomes"), shop.run("show", ID, "--outcomes", "--json")

    assert "1970-01-01 00:00:00Z delivered (attempt 1): retried by ann, its \\x9b worker hangs" in people.stdout
    assert "eve" not in people.stdout
    [shown] = json.loads(programs.stdout)["outcomes"]
    assert (shown["by"], shown["did"], shown["outcome"]) == ("ann", "retried", "delivered")


def test_a_task_without_outcomes_says_who_writes_them(shop: Shop) -> None:
    """Bridges do so only with an option; without the option of this command the topic is not read."""
    assert "bridges run without --outcomes" in shop.run("show", ID, "--outcomes").stdout
    assert "outcome" not in shop.run("show", ID).stdout


def test_a_link_is_printed_alone_and_with_a_warning(shop: Shop) -> None:
    """The link goes to standard output, so that it can be piped; the warning names what it is."""
    result = shop.run("link", ID, "--gateway", "https://answers.example.com/")
    assert result.stdout == f"https://answers.example.com/v1/{TOKEN}\n"
    assert TOKEN not in result.stderr
    assert "Whoever has it can answer this attempt, once" in result.stderr


def test_the_token_alone_needs_no_gateway(shop: Shop) -> None:
    """For header Authorization, or for `kallback complete -`."""
    assert shop.run("link", ID, "--token").stdout == f"{TOKEN}\n"


def test_without_a_gateway_there_is_no_link(shop: Shop) -> None:
    """The sentence names the setting."""
    result = shop.run("link", ID)
    assert (result.stdout, isinstance(result.exception, ConfigurationError)) == ("", True)
    assert "KALLBACK_GATEWAY_URL" in str(result.exception)


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        (replace(HEADERS, reply_to="other.results"), "use the settings of the task's environment"),
        (replace(HEADERS, deadline_ms=1), "has passed"),
    ],
)
def test_a_link_that_could_answer_nothing_is_not_printed(shop: Shop, headers: TaskHeaders, sentence: str) -> None:
    """Its deadline has passed, or another environment reads the results."""
    shop.at = shop.broker.append(OutgoingRecord("cook", b"{}", b"table 7", headers.encode()))
    result = shop.run("link", ID, "--token")
    assert (result.stdout, isinstance(result.exception, NotAnswerableError)) == ("", True)
    assert sentence in str(result.exception)


class Answered(Shop):
    """The result is there, and the last that the journal has."""

    def _rows(self, sql: str, kind: type[Any]) -> list[dict[str, Any]]:
        came = {"Notification": {"ty": "Signal", "id": {"SignalIndex": 17}, "result": "Success"}}
        result = [{"index": 5, "name": None, "entry_lite_json": json.dumps(came)}] if kind is StepRow else []
        return super()._rows(sql, kind) + result


def test_a_handler_that_does_not_go_on_is_counted() -> None:
    """Its service may be down, and nothing else in the list tells."""
    result = Answered().run("list")
    said = "No pending tasks; 1 handler has a result and has not gone on yet (kallback doctor).\n"
    assert (result.stdout, result.stderr) == ("", said)


def test_a_task_whose_handler_does_not_go_on_is_told_from_one_that_has_ended() -> None:
    """The sentence names the invocation."""
    error = Answered().run("show", ID).exception
    assert isinstance(error, NoPendingTaskError)
    assert f"has its result, and its handler Shop/order ({INVOCATION}, backing-off) has not gone on yet" in str(error)
