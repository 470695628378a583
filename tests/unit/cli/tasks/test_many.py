"""`kallback tasks cancel --all` and its sisters: first a list, then a count to confirm, then each task by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner, Result
from tests.unit.cli.tasks.test_tasks import HEADERS, ID, Shop

from kallback.cli.tasks.commands import tasks
from kallback.cli.tasks.factories import OperationsFactories
from kallback.cli.tasks.many import NotAllDoneError
from kallback.kafka import MemoryProducer, OutgoingRecord, Position, Record
from kallback.operations.journals.entries import StepRow, ValueRow
from kallback.protocol import ConfigurationError, KafkaUnavailableError, MissingTopicError, TaskId

OTHER = TaskId("BBECAwQFBgcICQoL")
GONE = TaskId("CCECAwQFBgcICQoL")
BREAD = TaskId("DDECAwQFBgcICQoL")
T = TypeVar("T")


class Shops(Shop):
    """A handler waits for three tasks; Kafka does not have the record of the third any more."""

    def __post_init__(self) -> None:
        """Publish two."""
        super().__post_init__()
        headers = replace(HEADERS, task_id=OTHER).encode()
        self.broker.append(OutgoingRecord("cook", b"{}", b"table 8", headers))

    def _rows(self, sql: str, kind: type[Any]) -> list[dict[str, Any]]:
        if kind is not ValueRow:
            return super()._rows(sql, kind)
        places = [[ID, 1, 17, 0, 0], [OTHER, 1, 18, 0, 1], [GONE, 1, 19, 0, 2]]
        value = list(json.dumps({"sent": {"task_type": "cook", "topic": "cook", "tasks": places}}).encode())
        completion = {"Run": {"completion_id": 3, "result": {"Success": value}}}
        return [{"entry_json": json.dumps({"Notification": {"Completion": completion}})}]

    def cancel(self, *arguments: str) -> Result:
        """Run the command."""
        return self.run("cancel", "--by", "ann", *arguments)

    def cancelled(self) -> list[str]:
        """The tasks that workers and handlers were told of, in the order of the records."""
        told = [json.loads(each.value or b"")["task"] for each in self.broker.records("kallback.control")]
        failed = [(each.key or b"").decode() for each in self.broker.records("kallback.results")]
        assert sorted(told) == sorted(failed)
        return told


@pytest.fixture
def shops() -> Shops:
    """One."""
    return Shops()


class Ending(Shops):
    """The first task gets its result right after the list was read."""

    is_over = False

    def _rows(self, sql: str, kind: type[Any]) -> list[dict[str, Any]]:
        self.is_over = self.is_over or ("sys_invocation_status WHERE id IN" in sql)
        rows = super()._rows(sql, kind)
        if not self.is_over:
            return rows
        if kind is StepRow:
            signal = {"Notification": {"ty": "Signal", "id": {"SignalIndex": 17}, "result": "Success"}}
            return [*rows, {"index": 6, "entry_lite_json": json.dumps(signal)}]
        return [row | ({"journal_size": 7} if "journal_size" in row else {}) for row in rows]


class Silent(MemoryProducer):
    """Kafka does not answer when the result of the second task is sent."""

    async def send(self, record: OutgoingRecord) -> Position:
        """Append it."""
        if record.key == OTHER.encode() and record.topic == "kallback.results":
            raise KafkaUnavailableError("no broker answers")
        return await super().send(record)


def test_a_dry_run_sends_nothing(shops: Shops) -> None:
    """It lists what would be cancelled, as the list does."""
    result = shops.cancel("--all", "--type", "cook", "--dry-run")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == [ID, OTHER, GONE]
    assert result.stderr == "3 pending tasks would be cancelled (3 cook).\n"
    assert shops.cancelled() == []


def test_without_a_terminal_nothing_is_sent_unless_it_is_confirmed(shops: Shops) -> None:
    """A script says --yes."""
    result = shops.cancel("--all")
    assert isinstance(result.exception, ConfigurationError)
    assert "--yes" in str(result.exception)
    assert shops.cancelled() == []


def test_each_task_that_cannot_be_cancelled_is_named(shops: Shops) -> None:
    """The others are cancelled nevertheless, and the exit code tells."""
    result = shops.cancel("--all", "--yes")
    assert isinstance(result.exception, NotAllDoneError)
    assert f"not cancelled: {GONE} cook: the record of task {GONE} is not at cook[0]@2 any more" in result.stderr
    assert result.stderr.endswith("Cancelled 2 of 3 tasks.\n")
    assert sorted(shops.cancelled()) == [ID, OTHER]


def test_what_became_of_each_as_json(shops: Shops) -> None:
    """With the place of the result, or the reason."""
    lines = [json.loads(line) for line in shops.cancel("--all", "--yes", "--json").stdout.splitlines()]
    assert [(each["task"], each["sent"]) for each in lines] == [(ID, True), (OTHER, True), (GONE, False)]
    assert lines[0]["result"].startswith("kallback.results[0]@")
    assert "retention" in lines[2]["error"]


def test_a_limit_leaves_the_younger_ones(shops: Shops) -> None:
    """And says that there are more."""
    result = shops.cancel("--all", "--yes", "--limit", "1")
    assert result.exit_code == 0
    assert "there are more (--limit)" in result.stderr
    assert shops.cancelled() == [ID]


def test_filters_that_choose_nothing(shops: Shops) -> None:
    """There is nothing to confirm."""
    result = shops.cancel("--all", "--type", "bake")
    assert (result.exit_code, result.stderr) == (0, "No pending tasks.\n")


def test_nothing_is_sent_to_a_task_that_has_ended_since_the_list_was_read() -> None:
    """To confirm a list takes time; the goal is reached, so it is no failure."""
    shops = Ending()
    result = shops.cancel("--all", "--yes", "--json", "--limit", "2")
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["task"], first["sent"], first["error"]) == (ID, False, None)
    assert (second["task"], second["sent"]) == (OTHER, True)
    assert result.stderr.endswith("Cancelled 1 of 2 tasks; 1 had ended, or the filters did not choose them any more.\n")
    assert result.exit_code == 0
    assert shops.cancelled() == [OTHER]


def test_how_far_it_came_is_said_if_a_server_stops_answering(shops: Shops) -> None:
    """A record without an acknowledgement may have arrived."""
    made = replace(shops.factories(), producer=lambda: Silent(shops.broker))
    result = CliRunner().invoke(tasks, ["cancel", "--all", "--yes", "--limit", "2"], obj=made)
    assert isinstance(result.exception, KafkaUnavailableError)
    assert result.stderr.endswith("Cancelled 1 of 2 tasks; 1 more may have arrived: see kallback tasks list.\n")


class TwoTopics(Shops):
    """The handler also waits for a task of another type, whose topic was deleted; the lookups are counted."""

    lookups = 0

    def _rows(self, sql: str, kind: type[Any]) -> list[dict[str, Any]]:
        rows = super()._rows(sql, kind)
        if kind is StepRow:
            command = {"Command": {"Run": {"completion_id": 4}}}
            return [*rows, {"index": 5, "name": f"publish bake {BREAD}", "entry_lite_json": json.dumps(command)}]
        if kind is ValueRow:
            sent = {"sent": {"task_type": "bake", "topic": "bake", "tasks": [[BREAD, 1, 20, 0, 0]]}}
            value = {"Success": list(json.dumps(sent).encode())}
            completion = {"Run": {"completion_id": 4, "result": value}}
            return [*rows, {"index": 5, "entry_json": json.dumps({"Notification": {"Completion": completion}})}]
        return [row | ({"journal_size": 7} if "journal_size" in row else {}) for row in rows]

    def factories(self) -> OperationsFactories:
        """Kafka does not have the topic."""
        made = super().factories()

        async def find_many(positions: Iterable[Position], keep: Callable[[Record], T], /) -> Mapping[Position, T]:
            self.lookups += 1
            wanted = list(positions)
            if any(at.topic == "bake" for at in wanted):
                raise MissingTopicError("Kafka topic 'bake' does not exist")
            return await made.find_many(wanted, keep)

        return replace(made, find_many=find_many)


def test_a_topic_that_is_gone_stops_its_own_tasks_alone() -> None:
    """Those of other types are cancelled nevertheless."""
    shops = TwoTopics()
    result = shops.cancel("--all", "--yes")
    assert isinstance(result.exception, NotAllDoneError)
    assert f"not cancelled: {BREAD} bake: Kafka topic 'bake' does not exist" in result.stderr
    assert shops.cancelled() == [ID, OTHER]


def test_the_records_of_many_tasks_are_looked_up_together() -> None:
    """Each lookup takes a connection to Kafka: there is one for each topic, and not one for each task."""
    shops = TwoTopics()
    shops.cancel("--all", "--yes")
    assert shops.lookups == 2


def test_many_are_failed_with_one_error(shops: Shops) -> None:
    """`--type` is the task type for all that is done to many; the type of the error has another name."""
    result = shops.run("fail", "--all", "--yes", "--limit", "2", "--type", "cook", "--error-type", "OvenDown")
    assert result.stderr.endswith("Failed 2 of 2 tasks.\n")
    values = [json.loads(each.value or b"") for each in shops.broker.records("kallback.results")]
    assert [value["type"] for value in values] == ["OvenDown", "OvenDown"]
    assert shops.run("fail", ID, "--type", "OutOfStock").exit_code == 2


def test_many_are_retried(shops: Shops) -> None:
    """Each attempt is handed back."""
    assert shops.run("retry", "--all", "--yes", "--limit", "2").stderr.endswith("Retried 2 of 2 tasks.\n")
    values = [json.loads(each.value or b"") for each in shops.broker.records("kallback.results")]
    assert [value["type"] for value in values] == ["urn:kallback:handed-back"] * 2


@pytest.mark.parametrize(
    "arguments", [[], ["--type", "cook"], [ID, "--all"], [ID, "--dry-run"], [ID, "--type", "cook"]]
)
def test_many_tasks_are_cancelled_only_if_it_is_said(shops: Shops, arguments: list[str]) -> None:
    """A filter that was meant, or an id that is empty in a script, cancels nothing."""
    result = shops.cancel(*arguments, "--yes")
    assert result.exit_code == 2
    assert shops.cancelled() == []
