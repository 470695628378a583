"""`kallback outcomes tail | list`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kallback.cli.commands.outcomes import outcomes
from kallback.cli.tasks.factories import OperationsFactories
from kallback.kafka import MemoryBroker, MemoryProducer, MemoryReader, OutgoingRecord
from kallback.operations.outcomes import Newest
from kallback.protocol import Outcome, OutcomeRecord, SourcePosition

TOPIC = "kallback.outcomes"
SOURCE = SourcePosition("kallback.results", 0, 1, 2)
DELIVERED = OutcomeRecord(
    Outcome.DELIVERED,
    SOURCE,
    3,
    None,
    "cook",
    "AAECAwQFBgcICQoL",
    1,
    by="alice",
    did="failed",
    why="\x1b[2J",
    failure="NoGas",
)
LATE = OutcomeRecord(Outcome.LATE, SOURCE, 4, "late", "bake", "BAECAwQFBgcICQoL", 1)


def tail(*arguments: str) -> Result:
    """Show a topic with two outcomes, and with what is none."""
    return run("tail", *arguments)


def run(*arguments: str, outcomes_in_it: tuple[OutcomeRecord, ...] = (DELIVERED, LATE)) -> Result:
    """Run a command on that topic, or on one with other outcomes."""
    broker = MemoryBroker()
    broker.create_topic(TOPIC)
    for value in (b"garbage", *(each.encode() for each in outcomes_in_it)):
        broker.append(OutgoingRecord(TOPIC, value))
    unused: Any = None
    reader = lambda topic, _: MemoryReader(broker, topic)  # noqa: E731 - one line
    factories = OperationsFactories(unused, unused, unused, lambda: MemoryProducer(broker), reader)
    return CliRunner().invoke(outcomes, [*arguments], obj=factories)


def test_each_outcome_is_a_line() -> None:
    """What is none is passed over; what an operator wrote cannot play with the terminal."""
    result = tail()
    first, second = result.stdout.splitlines()
    assert first.split()[2:8] == ["delivered", "failed", "(NoGas)", "-", "cook", "AAECAwQFBgcICQoL"]
    assert first.split()[8:] == ["1", "failed", "by", "alice", "\\x1b[2J"]
    assert second.split()[2:7] == ["late", "-", "late", "bake", "BAECAwQFBgcICQoL"]
    assert result.stderr == "2 outcomes.\n"


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (["--task", "AAECAwQFBgcICQoL"], 1),
        (["--type", "bake"], 1),
        (["--outcome", "late", "--outcome", "rejected"], 1),
        (["--by-hand"], 1),
        (["--by", "alice"], 1),
        (["--by", "bob"], 0),
        (["--result", "failed", "--result", "completed"], 1),
        (["--result", "handed-back"], 0),
        (["--failure", "NoGas", "--failure", "Burnt"], 1),
        (["--failure", "Burnt"], 0),
        (["--by-hand", "--type", "bake"], 0),
    ],
)
def test_filters(filters: list[str], count: int) -> None:
    """Each condition must hold."""
    assert len(tail(*filters).stdout.splitlines()) == count
    assert len(run("list", *filters).stdout.splitlines()) == count


@pytest.mark.parametrize("command", ["tail", "list"])
def test_filters_that_choose_nothing_are_told_from_a_topic_without_outcomes(command: str) -> None:
    """Who reads that bridges write none would look at the bridges, and not at the filter."""
    assert (
        run(command, "--by-hand", "--type", "bake").stderr == "The filters choose none of 2 outcomes since --since.\n"
    )
    assert run(command, outcomes_in_it=()).stderr == "No outcomes: bridges write them when they run with --outcomes.\n"


@pytest.mark.parametrize("command", ["list", "tail"])
def test_a_task_without_outcomes_may_have_ended_without_a_result(command: str) -> None:
    """Bridges run with --outcomes, and have nothing to write where no result came."""
    said = run(command, "--task", "A" * 16).stderr
    assert "timed out or was cancelled" in said
    assert "its handler's invocation in Restate tells how it ended" in said


def test_what_is_no_id_of_a_task_is_refused() -> None:
    """It would choose none, as if the task had no outcomes."""
    result = run("list", "--task", "nope")
    assert (result.exit_code, "not the id of a task" in result.stderr) == (2, True)


def test_json_is_what_the_topic_has() -> None:
    """For scripts."""
    assert json.loads(tail("--json", "--type", "bake").stdout)["reason"] == "late"


def test_a_list_begins_with_the_newest() -> None:
    """As people look for what has just happened."""
    assert [line.split()[2] for line in run("list").stdout.splitlines()] == ["late", "delivered"]


def test_a_list_keeps_the_newest_alone() -> None:
    """However many there are; the last line says how many older ones."""
    result = run("list", "--limit", "1", "--json")
    assert [json.loads(line)["outcome"] for line in result.stdout.splitlines()] == ["late"]
    assert result.stderr == "1 outcome; 1 older left out (--limit).\n"


def test_the_newest_are_kept_whatever_the_order_of_partitions() -> None:
    """Each partition is read for itself; of two of one time, the later one is newer."""
    newest = Newest(2)
    for at_ms, task in ((5, "a"), (1, "b"), (9, "c"), (5, "d")):
        newest.add(replace(LATE, at_ms=at_ms, task_id=task))
    assert [each.task_id for each in newest.outcomes()] == ["c", "d"]
    assert newest.left_out == 2
