"""The loop that carries the checks out, on a broker in memory: each bad habit fails the checks that it should."""

from __future__ import annotations

import dataclasses

import pytest
from tests.unit.wire_check.memory_worker import TOPICS, checked_worker

from kallback.protocol import Convention
from kallback.protocol.frameworks.conventions import read_convention
from kallback.wire_check import CheckRequests, CheckResult, CheckVerdict, WireCheckOptions, WireCheckRunner
from kallback.wire_check import lifecycle_checks as lifecycle

REQUESTS = CheckRequests(good=(b'{"id": "o-1"}', '{"id": "Größe"}'.encode()), failing=b"{}")
OPTIONS = WireCheckOptions(requests=REQUESTS, topics=TOPICS, task_type="prepare", timeout=1.0, settle=0.0)
NEEDS_MORE = {"past-start-by", "long-task", "restart", "stop", "hand-back"}
"""Checks for which these tests give nothing."""


@pytest.fixture(autouse=True)
def _control_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "CONTROL_S", 0.05)


async def results_of(*habits: str, options: WireCheckOptions = OPTIONS) -> dict[str, CheckResult]:
    """Check a worker with bad habits."""
    async with checked_worker(*habits) as connections:
        return dict(await WireCheckRunner(options, connections).run())


def named(results: dict[str, CheckResult], verdict: CheckVerdict) -> set[str]:
    """The checks with this verdict."""
    return {name for name, result in results.items() if result.verdict is verdict}


async def test_a_worker_that_keeps_the_rules_passes() -> None:
    """Nothing fails, and what is not covered names the option that is missing."""
    results = await results_of()
    assert named(results, CheckVerdict.FAIL) == set(), results
    assert named(results, CheckVerdict.NOT_COVERED) == NEEDS_MORE
    assert all("--" in results[name].sentence for name in NEEDS_MORE)


@pytest.mark.parametrize(
    ("habit", "failing"),
    [
        ("copies no headers", {"good-task"}),
        ("never answers", {"good-task"}),
        ("knows tasks, not attempts", {"next-attempt"}),
        ("does late tasks", {"past-deadline"}),
        ("believes every cancel", {"forged-cancel"}),
        ("answers success for failures", {"failure", "bad-request"}),
        ("says nothing of failures", {"failure", "bad-request"}),
        ("does tasks of every version", {"other-version"}),
        ("dies of a record without headers", {"no-headers"}),
        ("answers twice", {"one-answer"}),
    ],
)
async def test_a_bad_habit_fails_its_checks_only(habit: str, failing: set[str]) -> None:
    """The report names the rule that is broken, and no other."""
    assert named(await results_of(habit), CheckVerdict.FAIL) == failing


async def test_a_worker_that_never_answers_is_asked_once() -> None:
    """One finding says why; the other checks wait for nothing."""
    results = await results_of("never answers")
    assert "no consumer group reads prepare" in results["good-task"].sentence
    assert {result.sentence for name, result in results.items() if name not in {"good-task", "one-answer"}} == {
        "the worker answers no tasks since the check good-task"
    }


async def test_requests_that_the_worker_cannot_do_end_the_run() -> None:
    """One finding says what to give; the others would only repeat it."""
    options = dataclasses.replace(OPTIONS, requests=CheckRequests(good=(b"{}",), failing=b"{}"))
    results = await results_of(options=options)
    assert named(results, CheckVerdict.FAIL) == {"good-task"}
    assert "BadOrder" in results["good-task"].sentence
    assert "--request" in results["several"].sentence


async def test_a_worker_that_knows_its_framework_only_is_checked_with_that() -> None:
    """Tasks have the headers that it looks for, and its error header is the one that the bridge is told."""
    habit = "knows FastStream's headers only"
    assert named(await results_of(habit), CheckVerdict.FAIL) == {"good-task"}
    convention, conventions = read_convention("faststream:x-error")
    options = dataclasses.replace(
        OPTIONS,
        convention=convention,
        conventions=conventions,
        only=frozenset({"good-task", "next-attempt", "several", "failure", "bad-request", "no-headers"}),
    )
    assert named(await results_of(habit, options=options), CheckVerdict.PASS) == {*options.only, "one-answer"}


async def test_the_error_header_of_an_application_must_be_told() -> None:
    """As to the bridge: otherwise its failures are completed values there, too."""
    options = dataclasses.replace(OPTIONS, convention=Convention.FASTSTREAM, only=frozenset({"good-task", "failure"}))
    assert named(await results_of("knows FastStream's headers only", options=options), CheckVerdict.FAIL) == {"failure"}


async def test_an_answer_without_a_token_is_named() -> None:
    """It is there, and belongs to no task."""
    assert "no token" in (await results_of("copies no headers"))["good-task"].sentence


async def test_single_checks_can_be_chosen() -> None:
    """Of the others nothing is said."""
    only = dataclasses.replace(OPTIONS, only=frozenset({"failure"}))
    assert list(await results_of(options=only)) == ["failure", "one-answer"]
