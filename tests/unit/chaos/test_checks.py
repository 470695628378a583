"""The checks of a chaos run find what they are there to find, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from chaos.checks import check_all, doubled, lost
from chaos.evidence import Evidence, GroupProgress, HandlerStart, OutcomeRecord, Result, Shutdown, TeamEvidence
from chaos.faults import Outage
from chaos.load import Placed
from chaos.plan import Backlog, Plan, Target
from chaos.stage import Crash, MemorySample
from chaos.work import NEVER, SUSPENDED, End, How, Job, Kind, Report, right_end

from kallback.kafka import DeadLetter, Position, Record
from kallback.kafka.dead_letters.reader import DeadLetterId
from kallback.protocol import Outcome

KINDS = (Kind.PLAIN, Kind.FORGED, Kind.MALFORMED, Kind.LATE, Kind.DUPLICATED, Kind.SLOW)
PLAIN, FORGED, MALFORMED, LATE, DUPLICATED, SLOW = range(len(KINDS))
BECAME = {
    Kind.FORGED: Outcome.UNVERIFIED,
    Kind.MALFORMED: Outcome.UNUSABLE,
    Kind.LATE: Outcome.LATE,
    Kind.DUPLICATED: Outcome.DUPLICATE,
    Kind.BACKLOG: Outcome.DELIVERED,
}


def the_plan() -> Plan:
    """One task of each kind that matters."""
    short = {Kind.LATE, Kind.SLOW}
    jobs = tuple(Job(number, kind, 2.0 if kind in short else NEVER, 0.1) for number, kind in enumerate(KINDS))
    second = (Job(0, Kind.PLAIN, NEVER, 0.1), Job(1, Kind.LONG, NEVER, 6.0))
    return Plan(1, seconds=10, rate=1, jobs=jobs, faults=(), backlog=Backlog(1.0, records=2), second_jobs=second)


def a_result(number: int | None, injected: Kind | None, offset: int) -> Result:
    """A record about a task."""
    about = b"" if number is None else b"%d" % number
    record = Record("results", 0, offset, 0, f"task-{number}".encode(), b"{}", (("chaos-task", about),))
    return Result(record, injected, number)


def a_dead_letter(result: Result, reason: str = "late") -> DeadLetter:
    """The dead letter of a record."""
    record = result.record
    source = Position(record.topic, record.partition, record.offset)
    position = DeadLetterId(0, record.offset)
    return DeadLetter(position, reason, "", 0, 0, source, 0, "bridges", record.key, record.value, record.headers)


def all_well() -> Evidence:
    """A run in which every task ended right: worker's results at offsets 0 to 9, injected ones from 10 on."""
    jobs = the_plan().jobs
    own = [
        a_result(job.number, None, job.number) for job in jobs if job.kind in {Kind.PLAIN, Kind.FORGED, Kind.DUPLICATED}
    ]
    injected = [a_result(job.number, job.kind, 10 + job.number) for job in jobs if job.kind in BECAME]
    injected += [a_result(None, Kind.BACKLOG, offset) for offset in (20, 21)]
    became = [OutcomeRecord(result.position, Outcome.DELIVERED) for result in own]
    became += [OutcomeRecord(result.position, BECAME[result.injected]) for result in injected if result.injected]
    reports = {job.number: Report(job.number, right_end(job), f"task-{job.number}") for job in jobs}
    return Evidence(
        placed={job.number: Placed(job.number, f"inv_{job.number}", 100.0, 100.1) for job in jobs},
        reports=reports,
        observations=list(reports.values()),
        results=own + injected,
        outcomes=became,
        dead_letters=[a_dead_letter(each) for each in injected if each.injected not in {Kind.DUPLICATED, Kind.BACKLOG}],
        progress=[GroupProgress("bridges", "results", 0, 20, 20)],
        second=TeamEvidence(
            reports={
                job.number: Report(job.number, right_end(job), f"s-{job.number}") for job in the_plan().second_jobs
            },
            runs=Counter({0: 1, 1: 2}),
            interrupted=1,
            result_keys=["s-0", "s-1"],
            outcomes=Counter({Outcome.DELIVERED: 2}),
        ),
    )


def wrong(seen: Evidence) -> list[str]:
    """Everything that the checks say against a run."""
    return [each for check in check_all(the_plan(), seen) for each in check.wrong]


def test_a_good_run_passes() -> None:
    """Nothing is wrong with a run in which everything went as planned."""
    assert wrong(all_well()) == []


def without(offset: int) -> Callable[[Evidence], Evidence]:
    """Lose the outcome of a record."""
    return lambda seen: replace(seen, outcomes=[each for each in seen.outcomes if each.position != (0, offset)])


def with_end(number: int, how: How, detail: str = "") -> Callable[[Evidence], Evidence]:
    """Let a task end otherwise."""

    def change(seen: Evidence) -> Evidence:
        report = Report(number, End(how, detail), f"task-{number}")
        others = [each for each in seen.observations if each.number != number]
        return replace(seen, reports={**seen.reports, number: report}, observations=[*others, report])

    return change


def with_outcome_record(offset: int, outcome: Outcome) -> Callable[[Evidence], Evidence]:
    """Add an outcome of a record."""
    return lambda seen: replace(seen, outcomes=[*seen.outcomes, OutcomeRecord((0, offset), outcome)])


def of_second(**changes: Any) -> Callable[[Evidence], Evidence]:
    """Change what the second team left behind."""
    return lambda seen: replace(seen, second=replace(seen.second, **changes))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (of_second(reports={}), "task 0 (plain) of the second team: Restate never took it"),
        (of_second(reports={1: "it is not done"}), "task 1 (long) of the second team: it is not done"),
        (of_second(runs=Counter({1: 1})), "task 1 of the second team was not begun again after its worker"),
        (of_second(interrupted=None), "no long task of the second team began"),
        (of_second(result_keys=["task-0"]), "a result of task task-0 lies on the second team's topic"),
        (of_second(dead_letters=["wrong-tag"]), "the second team has a dead letter: wrong-tag"),
        (of_second(outcomes=Counter({Outcome.UNVERIFIED: 1})), "the second team's bridge could not verify 1 results"),
        (
            of_second(reports={0: Report(0, right_end(the_plan().second_jobs[0]), "task-0")}),
            "worker's result 0:0 of task 0 is one of the second team's task",
        ),
        (lambda it: replace(it, reports={**it.reports, PLAIN: "not done"}), "task 0 (plain, inv_0): not done"),
        (with_end(PLAIN, How.VALUE, "0: 17, 0 bytes"), "task 0 (plain, inv_0, task id task-0) ended with value"),
        (with_end(PLAIN, How.TIMED_OUT), "task 0 (plain, inv_0, task id task-0) ended with timed-out"),
        (with_end(FORGED, How.VALUE, "1: -1, 0 bytes"), "task 1 (forged"),
        (with_end(LATE, How.NOT_SENT), "task 3 (late"),
        (without(0), "worker's result 0:0 of task 0 has no outcome"),
        (with_outcome_record(11, Outcome.DELIVERED), "forged record 0:11 of task 1 became delivered"),
        (with_outcome_record(99, Outcome.DELIVERED), "an outcome for (0, 99), where no record is"),
        (with_outcome_record(0, Outcome.REJECTED), "worker's result 0:0 of task 0 became rejected"),
        (lambda it: replace(it, dead_letters=[]), "no dead letter of forged record 0:11 of task 1"),
        (
            lambda it: replace(it, dead_letters=[*it.dead_letters, a_dead_letter(it.results[0], "rejected")]),
            "worker's result 0:0 of task 0 was dead-lettered as 0:0: rejected",
        ),
        (
            lambda it: replace(it, dead_letters=[*it.dead_letters, replace(it.dead_letters[0], value=b"{ }")]),
            "dead letter 0:11 is not, byte for byte, the forged record 0:11",
        ),
        (
            lambda it: replace(it, progress=[GroupProgress("bridges", "results", 0, -1001, 20)]),
            "group bridges has committed 0 of 20 in results[0]",
        ),
        (lambda it: replace(it, unfinished=["inv_9 Chaos/run_task is running"]), "inv_9 Chaos/run_task is running"),
        (lambda it: replace(it, shutdown=Shutdown(orphans=["bridge-1"])), "bridge-1 is still there"),
        (lambda it: replace(it, shutdown=Shutdown([("bridge-1", -9)])), "bridge-1 ended with exit code -9 when asked"),
        (lambda it: replace(it, crashes=[Crash("bridge-1", 1, 0.0, "why")]), "bridge-1 ended by itself with exit code"),
        (
            lambda it: replace(it, memory=[MemorySample("bridge-1", 5, age, 2.0 * age) for age in (10.0, 60.0)]),
            "bridge-1 (process 5) grew by 100 MiB in 60 s",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found(change: Callable[[Evidence], Evidence], sentence: str) -> None:
    """Each way in which a run can go wrong is told with the task or record that it happened to."""
    assert any(each.startswith(sentence) for each in wrong(change(all_well())))


def test_a_missing_injection_is_found() -> None:
    """A run that injected nothing would prove nothing."""
    seen = all_well()
    seen = replace(seen, results=[each for each in seen.results if each.injected is not Kind.FORGED])
    assert "no forged record about task 1" in wrong(seen)


def test_a_backlog_that_is_too_small_is_found() -> None:
    """A backlog that bridges can hold whole would prove nothing."""
    seen = all_well()
    seen = replace(seen, results=[each for each in seen.results if each.position != (0, 21)])
    assert "a backlog of 1 results, not of 2" in wrong(seen)


def test_two_looks_that_differ_are_a_double() -> None:
    """A replay of a handler that saw another result than before is the one thing that must never be."""
    seen = all_well()
    other = Report(PLAIN, End(How.TIMED_OUT, ""), "task-0")
    seen = replace(seen, observations=[*seen.observations, other])
    assert list(doubled(seen)) == [PLAIN]
    assert lost(the_plan(), seen) == []


@pytest.mark.parametrize(
    ("number", "end", "target"),
    [
        (LATE, End(How.NOT_SENT, "no broker"), Target.BROKER),
        (SLOW, right_end(Job(SLOW, Kind.PLAIN, NEVER, 0.1)), Target.RESTATE),
    ],
)
def test_an_outage_excuses_a_short_timeout_only_while_it_lasts(number: int, end: End, target: Target) -> None:
    """What a fault explains is no failure; the same end an hour later is one."""
    seen = with_end(number, end.how, end.detail)(all_well())
    during, after = Outage(target, 99.0, 103.0), Outage(target, 3700.0, 3703.0)
    about = f"task {number} ("
    assert not any(each.startswith(about) for each in wrong(replace(seen, outages=[during])))
    assert any(each.startswith(about) for each in wrong(replace(seen, outages=[after])))


def started_again(first: HandlerStart, *, after: float = 1.0) -> Evidence:
    """A run in which a handler was started, and again some seconds later."""
    return replace(all_well(), starts=[first, HandlerStart("inv_0", first.began + after, first.began + after + 1)])


LOST = HandlerStart("inv_0", 100.0, 100.5, "DisconnectedException")


def test_a_suspended_handler_may_be_started_again() -> None:
    """Restate suspends handlers that wait, and replays them: nothing was lost."""
    assert wrong(started_again(replace(LOST, how=SUSPENDED))) == []


def test_a_handler_that_is_started_again_without_a_cause_is_found() -> None:
    """A server that closes a connection with open handlers makes them run twice, though nothing was broken."""
    (found,) = wrong(started_again(LOST))
    assert found.startswith("inv_0 was started again 1.0 s after an attempt that ended with DisconnectedException")


@pytest.mark.parametrize(
    ("outage", "excused"),
    [
        (Outage(Target.SERVICE, 100.4, 101.0), True),
        (Outage(Target.RESTATE, 97.0, 99.0), True),
        (Outage(Target.BROKER, 100.4, 101.0), False),
        (Outage(Target.SERVICE, 80.0, 81.0), False),
        (Outage(Target.SERVICE, 100.9, 102.0), False),
    ],
    ids=["then", "just-before", "of-something-else", "long-before", "afterwards"],
)
def test_only_an_outage_of_service_or_restate_explains_a_lost_attempt(outage: Outage, *, excused: bool) -> None:
    """The outage has to come before the loss, and not long before it."""
    assert (wrong(replace(started_again(LOST), outages=[outage])) == []) is excused


def test_an_attempt_that_never_ended_was_lost_with_its_process() -> None:
    """Its next start must follow a kill."""
    endless = replace(LOST, ended=None, how="")
    kill = Outage(Target.SERVICE, 105.0, 106.0)
    assert wrong(replace(started_again(endless, after=7.0), outages=[kill])) == []
    assert len(wrong(started_again(endless, after=7.0))) == 1
