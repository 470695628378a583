"""`kallback wire check` on a real Kafka: the kit's worker passes, a careless one fails where it is careless."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kallback.settings import Topics
from kallback.testing import KafkaServer, TopicFactory
from kallback.wire_check import NAMES

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
KIT = f"{sys.executable} -m kallback.cli worker checked_kitchen:worker"
CARELESS = f"{sys.executable} careless_worker.py"
QUICK = ("--timeout", "10", "--restart-grace", "10")
"""The workers of these tests have a session timeout of six seconds."""
GOOD = ("--request", '{"id": "o-1"}', "--request", '{"id": "Größe"}', "--failing-request", "{}")


@dataclass(frozen=True)
class Checking:
    """Runs the command.

    Attributes:
        tasks: the topic of this test.
    """

    kafka: KafkaServer
    tasks: str
    prefix: str

    async def run(self, *arguments: str, **environ: str) -> tuple[int, dict[str, dict[str, Any]]]:
        """Return the exit code, and what was said of each check."""
        places = {
            "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "KALLBACK_TOPICS_PREFIX": self.prefix,
        }
        own = {"KITCHEN": self.tasks, "TASKS": self.tasks, "BROKERS": self.kafka.bootstrap_servers}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kallback.cli", "wire", "check", self.tasks, "--json", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=HERE,
            env={**os.environ, **places, **own, **environ},
        )
        output, errors = await process.communicate()
        found = [json.loads(line) for line in output.splitlines()]
        assert found, errors.decode()
        return process.returncode or 0, {each["check"]: each for each in found}


@pytest.fixture
def checking(kafka_server: KafkaServer, topics_factory: TopicFactory) -> Checking:
    """The command, with topics of this test."""
    tasks = topics_factory("prepare", partitions=2)
    prefix = f"{tasks}."
    topics_factory.make(Topics(prefix=prefix).all())
    return Checking(kafka_server, tasks, prefix)


def with_verdict(found: dict[str, dict[str, Any]], verdict: str) -> set[str]:
    """The checks with this verdict."""
    return {name for name, each in found.items() if each["verdict"] == verdict}


async def test_the_worker_kit_keeps_every_rule(checking: Checking) -> None:
    """All 20 checks pass, through kills, stops and cancels."""
    long = ("--long-request", '{"id": "long", "seconds": 4}')
    code, found = await checking.run(*GOOD, *long, "--command", KIT)
    assert with_verdict(found, "pass") == set(NAMES), found
    assert code == 0


@pytest.mark.parametrize(
    ("habit", "failing"),
    [
        ("answers success for failures", {"failure", "bad-request"}),
        ("copies no headers", {"good-task"}),
        ("dies of a record without headers", {"no-headers"}),
        ("answers twice", {"one-answer"}),
        ("commits first", {"restart"}),
    ],
)
async def test_a_careless_worker_fails_where_it_is_careless(checking: Checking, habit: str, failing: set[str]) -> None:
    """The rule that it breaks, and no other."""
    code, found = await checking.run(*GOOD, *QUICK, "--command", CARELESS, CARELESS=habit)
    assert with_verdict(found, "fail") == failing, found
    assert code == 1


async def test_what_another_run_left_is_not_held_against_a_worker(checking: Checking) -> None:
    """Answers without a token lie in the reply topic, and its topic is not empty: only its own habit counts."""
    arguments = (*GOOD, *QUICK, "--only", "good-task", "--only", "no-headers", "--command", CARELESS)
    _, found = await checking.run(*arguments, CARELESS="copies no headers")
    assert with_verdict(found, "fail") == {"good-task"}, found
    _, found = await checking.run(*arguments, CARELESS="answers twice")
    assert with_verdict(found, "fail") == {"one-answer"}, found


async def test_a_worker_that_dies_is_quoted(checking: Checking) -> None:
    """The report has the end of its traceback, and the last check says so."""
    habit = "dies of a record without headers"
    _, found = await checking.run(*GOOD, "--only", "no-headers", "--command", CARELESS, CARELESS=habit)
    assert "KeyError: 'kallback-reply-to'" in found["no-headers"]["sentence"]


async def test_without_a_worker_the_first_finding_says_so(checking: Checking) -> None:
    """One timeout, and what to do."""
    code, found = await checking.run("--timeout", "2")
    assert "no consumer group reads" in found["good-task"]["sentence"]
    assert with_verdict(found, "not covered") == set(NAMES) - {"good-task"}
    assert code == 1
