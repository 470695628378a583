"""`kallback workers list`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.unit.operations.test_readers import KITCHEN

from kallback.cli.commands.workers import _Kafka, workers
from kallback.kafka import TopicGroup
from kallback.protocol import AccessDeniedError, ConfigurationError, MissingTopicError


def run(*arguments: str, group: TopicGroup | None = KITCHEN, sees_all: bool = True) -> Result:
    """List the workers of a Kafka with one group, or none."""

    async def topics(_settings: Any) -> frozenset[str]:
        return frozenset({"cook", "wash", "kallback.results"})

    async def groups(_settings: Any, _topics: list[str]) -> list[TopicGroup]:
        return [] if group is None else [group]

    async def sees(_settings: Any) -> bool:
        return sees_all

    return CliRunner().invoke(workers, ["list", *arguments], obj=_Kafka(topics, groups, sees))


def test_each_member_is_a_line_with_its_partitions() -> None:
    """Numbers that follow each other are a range; a topic that nothing reads is named."""
    result = run()
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["cook", "kitchen", "10.0.0.1", "kallback", "ann", "0-1", "3"],
        ["cook", "kitchen", "10.0.0.2", "kallback", "-", "3", "0"],
        ["cook", "kitchen", "-", "-", "-", "2", "40"],
        ["wash", "-", "-", "-", "-", "-", "0"],
    ]
    assert result.stderr == "2 members; nothing reads wash.\n"


def test_the_name_of_a_group_is_shown_harmlessly() -> None:
    """Whoever may read a topic chooses it: it neither reaches the terminal raw nor widens every line."""
    lines = run(group=replace(KITCHEN, name="\x1b[2Jk" + "x" * 5_000)).stdout.splitlines()
    assert "\\x1b[2Jkxxx" in lines[0]
    assert max(map(len, lines)) < 250


def test_a_type_that_is_named_is_looked_at_alone() -> None:
    """In Kafka that many applications share."""
    lines = [json.loads(line) for line in run("cook", "--json").stdout.splitlines()]
    assert [each["behind"] for each in lines] == [3, 0, 40]
    assert (lines[0]["member"], lines[0]["partitions"], lines[0]["instance"]) == ("ann-1", [0, 1], "ann")
    assert lines[2]["host"] is None


def test_a_process_that_does_not_answer_says_so() -> None:
    """Port 1 of this machine has no worker."""
    result = run("cook", "--process", "http://127.0.0.1:1")
    assert "http://127.0.0.1:1  not ready  -  it does not answer" in result.stdout


def test_a_module_is_answered_with_the_form_of_a_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it is a topic that does not exist."""

    async def groups(_settings: Any, topics: list[str]) -> list[TopicGroup]:
        raise MissingTopicError(f"Kafka topic {topics[0]!r} does not exist")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "shared.py").touch()
    asked = _Kafka(groups=groups)
    module, topic = (CliRunner().invoke(workers, ["list", name], obj=asked).exception for name in ("shared", "cook"))
    assert isinstance(module, ConfigurationError)
    assert str(module).endswith("kallback workers list shared:NAME")
    assert isinstance(topic, MissingTopicError)


def test_a_user_who_sees_no_groups_is_told_the_permission() -> None:
    """Kafka leaves groups out that a user may not see: that there is no member would be a guess."""
    hidden, none = run(group=None, sees_all=False), run(group=None)
    assert isinstance(hidden.exception, AccessDeniedError)
    assert "DESCRIBE on all groups" in str(hidden.exception)
    assert (none.exit_code, none.stderr) == (0, "No members; nothing reads cook, wash.\n")


def test_members_that_are_seen_need_no_other_permission() -> None:
    """A user may be given the groups of the workers alone."""
    assert run(sees_all=False).exit_code == 0


def test_without_topics_it_says_why_there_may_be_none() -> None:
    """Kafka leaves out topics that a user may not see, and "No members" alone reads as if no worker ran."""

    async def nothing(*_: Any) -> frozenset[str]:
        return frozenset()

    async def sees(_settings: Any) -> bool:
        return True

    result = CliRunner().invoke(workers, ["list"], obj=_Kafka(nothing, nothing, sees))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No members: there is no topic of tasks, or this user has no DESCRIBE on any." in result.stderr
