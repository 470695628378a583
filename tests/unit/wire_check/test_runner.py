"""The loop that carries the checks out, on a broker in memory: each bad habit fails the checks that it should."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import pytest
from tests.unit.wire_check.memory_worker import LONG, TOPICS, AskGroups, checked_worker, no_groups

from kallback.kafka import OutgoingRecord, TopicGroup, TopicPartition
from kallback.protocol import Convention
from kallback.protocol.frameworks.conventions import read_convention
from kallback.wire_check import (
    CheckRequests,
    CheckResult,
    CheckVerdict,
    WireCheckOptions,
    WireCheckRunner,
    answer_reader,
    check_run,
)
from kallback.wire_check import lifecycle_checks as lifecycle

REQUESTS = CheckRequests(good=(b'{"id": "o-1"}', '{"id": "Größe"}'.encode()), failing=b"{}")
OPTIONS = WireCheckOptions(requests=REQUESTS, topics=TOPICS, task_type="prepare", timeout=1.0, settle=0.0)
PATIENT = dataclasses.replace(OPTIONS, timeout=60.0)
"""For a worker that answers everything, on a slow machine as well."""
NEEDS_MORE = {"past-start-by", "long-task", "restart", "stop", "hand-back", "cancelled-while-running"}
"""Checks for which these tests give nothing."""


@pytest.fixture(autouse=True)
def _control_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "CONTROL_S", 0.05)


async def results_of(
    *habits: str,
    options: WireCheckOptions = OPTIONS,
    earlier: Sequence[OutgoingRecord] = (),
    groups: AskGroups = no_groups,
) -> dict[str, CheckResult]:
    """Check a worker with bad habits."""
    async with checked_worker(*habits, earlier=earlier, groups=groups) as connections:
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


LONG_OPTIONS = dataclasses.replace(
    PATIENT,
    requests=dataclasses.replace(REQUESTS, long=LONG),
    heartbeats=False,
    only=frozenset({"past-start-by", "long-task", "cancelled-while-running"}),
)


@pytest.mark.parametrize(
    ("habit", "verdict", "said"),
    [
        ("", CheckVerdict.PASS, "stopped, and not answered"),
        ("does not stop", CheckVerdict.NOT_COVERED, "does not stop its work"),
        ("never has time to stop", CheckVerdict.NOT_COVERED, "give a longer --long-request"),
    ],
)
async def test_a_worker_that_goes_on_with_a_cancelled_task_is_told(
    habit: str, verdict: CheckVerdict, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its work is for nothing; that is no fault, because cancels are optional."""
    begin_s = 0.1 if habit != "never has time to stop" else 60.0
    monkeypatch.setattr(check_run, "_BEGIN_S", begin_s)
    result = (await results_of(habit, options=LONG_OPTIONS))["cancelled-while-running"]
    assert (result.verdict, said in result.sentence) == (verdict, True), result


async def test_a_type_without_heartbeats_is_asked_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its long tasks ask for no progress, and no rule of heartbeats fails."""
    monkeypatch.setattr(check_run, "_BEGIN_S", 0.1)
    results = await results_of(options=LONG_OPTIONS)
    assert {name: results[name].verdict for name in ("past-start-by", "long-task")} == {
        "past-start-by": CheckVerdict.NOT_COVERED,
        "long-task": CheckVerdict.NOT_COVERED,
    }
    assert "--no-heartbeats" in results["long-task"].sentence


STRAY = OutgoingRecord(TOPICS.results, b"{}", None, (("kallback-token", b"OF AN EARLIER RUN"),))


async def test_answers_that_were_there_before_the_check_are_not_the_workers() -> None:
    """Another run, or another worker, has left them in the same topic."""
    assert named(await results_of(earlier=[STRAY] * 20), CheckVerdict.FAIL) == set()


def group_with(lag: int, committed: int = 0) -> TopicGroup:
    """The worker's group."""
    return TopicGroup("kitchen", 1, 0, {TopicPartition(TOPICS.tasks, 0): committed}, lag)


async def test_a_check_begins_when_the_worker_has_done_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it answers to records of before the check is no answer to the check's tasks."""
    monkeypatch.setattr(answer_reader, "LOOK_S", 0.02)
    lags = [3, 2, 0]
    begun: list[str] = []

    async def groups() -> Sequence[TopicGroup]:
        return [group_with(lags.pop(0) if lags else 0)]

    old = OutgoingRecord(TOPICS.tasks, b"old")
    habit = "answers a record of before the check as it comes"
    async with checked_worker(habit, earlier=[old] * 3, groups=groups) as connections:
        results = dict(await WireCheckRunner(PATIENT, connections).run(begun.append))
    assert named(results, CheckVerdict.FAIL) == set(), results
    waits = ["waiting: the worker has 3 records of before the check to do"]
    waits.append("waiting: the worker has 2 records of before the check to do")
    assert begun[:3] == [*waits, "checking: good-task"]


async def test_what_the_worker_answers_before_the_check_begins_is_no_answer_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answers to records of before lie in the topic when the worker has done the last of them."""
    monkeypatch.setattr(answer_reader, "LOOK_S", 0.02)
    lags = [2, 1, 0]

    async def groups() -> Sequence[TopicGroup]:
        if lags:
            await connections.producer.send(STRAY)
        return [group_with(lags.pop(0) if lags else 0)]

    earlier = [OutgoingRecord(TOPICS.tasks, b"old")]
    async with checked_worker("takes its time", earlier=earlier, groups=groups) as connections:
        results = dict(await WireCheckRunner(PATIENT, connections).run())
    assert named(results, CheckVerdict.FAIL) == set(), results


async def test_a_worker_that_leaves_what_was_there_undone_is_checked_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its group reads from the end, or another group is stuck; what came of earlier records is not held against it."""
    monkeypatch.setattr(answer_reader, "LOOK_S", 0.02)

    async def groups() -> Sequence[TopicGroup]:
        return [group_with(7)]

    options = dataclasses.replace(OPTIONS, timeout=0.2, only=frozenset({"good-task", "no-headers"}))
    earlier = [OutgoingRecord(TOPICS.tasks, b"{}")]
    results = await results_of(options=options, earlier=earlier, groups=groups)
    assert named(results, CheckVerdict.FAIL) == set(), results


@pytest.mark.parametrize(("step", "verdict"), [(1, CheckVerdict.PASS), (0, CheckVerdict.FAIL)])
async def test_a_slow_worker_that_gets_on_is_waited_for(step: int, verdict: CheckVerdict) -> None:
    """The position of its group is evidence: seconds decide only where that stands still."""
    positions = itertools.count(-10_000, step)

    async def groups() -> Sequence[TopicGroup]:
        return [group_with(1, next(positions))]

    options = dataclasses.replace(OPTIONS, timeout=0.05, only=frozenset({"good-task"}))
    results = await results_of("takes its time", options=options, groups=groups)
    assert results["good-task"].verdict is verdict, results
