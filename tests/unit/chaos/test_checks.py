"""The checks of a chaos run find what they are there to find, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from chaos.checks import check_all, doubled, lost
from chaos.evidence import Endings, Evidence, Progress, Result, Verdict
from chaos.faults import Outage
from chaos.load import Placed
from chaos.plan import Plan, Target
from chaos.stage import Fall, Memory
from chaos.work import NEVER, End, How, Job, Kind, Report, right_end

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
}


def the_plan() -> Plan:
    """One task of each kind that matters."""
    short = {Kind.LATE, Kind.SLOW}
    jobs = tuple(Job(number, kind, 2.0 if kind in short else NEVER, 0.1) for number, kind in enumerate(KINDS))
    return Plan(seed=1, seconds=10, rate=1, jobs=jobs, faults=())


def a_result(number: int, injected: Kind | None, offset: int) -> Result:
    """A record about a task."""
    record = Record("results", 0, offset, 0, f"task-{number}".encode(), b"{}", (("chaos-task", b"%d" % number),))
    return Result(record, injected, number)


def a_letter(result: Result, reason: str = "late") -> DeadLetter:
    """The dead letter of a record."""
    record = result.record
    source = Position(record.topic, record.partition, record.offset)
    place = DeadLetterId(0, record.offset)
    return DeadLetter(place, reason, "", 0, 0, source, 0, "bridges", record.key, record.value, record.headers)


def all_well() -> Evidence:
    """A run in which every task ended right: worker's results at offsets 0 to 9, injected ones from 10 on."""
    jobs = the_plan().jobs
    own = [
        a_result(job.number, None, job.number) for job in jobs if job.kind in {Kind.PLAIN, Kind.FORGED, Kind.DUPLICATED}
    ]
    injected = [a_result(job.number, job.kind, 10 + job.number) for job in jobs if job.kind in BECAME]
    became = [Verdict(result.place, Outcome.DELIVERED) for result in own]
    became += [Verdict(result.place, BECAME[KINDS[result.number or 0]]) for result in injected]
    reports = {job.number: Report(job.number, right_end(job), f"task-{job.number}") for job in jobs}
    return Evidence(
        placed={job.number: Placed(job.number, f"inv_{job.number}", 100.0, 100.1) for job in jobs},
        reports=reports,
        witnesses=list(reports.values()),
        results=own + injected,
        verdicts=became,
        letters=[a_letter(result) for result in injected if result.injected is not Kind.DUPLICATED],
        progress=[Progress("bridges", "results", 0, 20, 20)],
    )


def wrong(seen: Evidence) -> list[str]:
    """Everything that the checks say against a run."""
    return [each for check in check_all(the_plan(), seen) for each in check.wrong]


def test_a_good_run_passes() -> None:
    """Nothing is wrong with a run in which everything went as planned."""
    assert wrong(all_well()) == []


def without(offset: int) -> Callable[[Evidence], Evidence]:
    """Lose the outcome of a record."""
    return lambda seen: replace(seen, verdicts=[each for each in seen.verdicts if each.place != (0, offset)])


def with_end(number: int, how: How, detail: str = "") -> Callable[[Evidence], Evidence]:
    """Let a task end otherwise."""

    def change(seen: Evidence) -> Evidence:
        report = Report(number, End(how, detail), f"task-{number}")
        others = [each for each in seen.witnesses if each.number != number]
        return replace(seen, reports={**seen.reports, number: report}, witnesses=[*others, report])

    return change


def with_verdict(offset: int, outcome: Outcome) -> Callable[[Evidence], Evidence]:
    """Add an outcome of a record."""
    return lambda seen: replace(seen, verdicts=[*seen.verdicts, Verdict((0, offset), outcome)])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda it: replace(it, reports={**it.reports, PLAIN: "not done"}), "task 0 (plain, inv_0): not done"),
        (with_end(PLAIN, How.VALUE, "0: 17, 0 bytes"), "task 0 (plain, inv_0, task id task-0) ended with value"),
        (with_end(PLAIN, How.TIMED_OUT), "task 0 (plain, inv_0, task id task-0) ended with timed-out"),
        (with_end(FORGED, How.VALUE, "1: -1, 0 bytes"), "task 1 (forged"),
        (with_end(LATE, How.NOT_SENT), "task 3 (late"),
        (without(0), "worker's result 0:0 of task 0 has no outcome"),
        (with_verdict(11, Outcome.DELIVERED), "forged record 0:11 of task 1 became delivered"),
        (with_verdict(99, Outcome.DELIVERED), "an outcome for (0, 99), where no record is"),
        (with_verdict(0, Outcome.REJECTED), "worker's result 0:0 of task 0 became rejected"),
        (lambda it: replace(it, letters=[]), "no dead letter of forged record 0:11 of task 1"),
        (
            lambda it: replace(it, letters=[*it.letters, a_letter(a_result(PLAIN, None, PLAIN), "rejected")]),
            "worker's result 0:0 of task 0 was dead-lettered as 0:0: rejected",
        ),
        (
            lambda it: replace(it, letters=[*it.letters, replace(it.letters[0], value=b"{ }")]),
            "dead letter 0:11 is not, byte for byte, the forged record 0:11",
        ),
        (
            lambda it: replace(it, progress=[Progress("bridges", "results", 0, -1001, 20)]),
            "group bridges has committed 0 of 20 in results[0]",
        ),
        (lambda it: replace(it, unfinished=["inv_9 Chaos/place is running"]), "inv_9 Chaos/place is running"),
        (lambda it: replace(it, endings=Endings(orphans=["bridge-1"])), "bridge-1 is still there"),
        (lambda it: replace(it, endings=Endings([("bridge-1", -9)])), "bridge-1 ended with exit code -9 when asked to"),
        (lambda it: replace(it, falls=[Fall("bridge-1", 1, 0.0, "why")]), "bridge-1 ended by itself with exit code 1"),
        (
            lambda it: replace(it, memory=[Memory("bridge-1", 5, 6.0, 50.0), Memory("bridge-1", 5, 60.0, 150.0)]),
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


def test_two_looks_that_differ_are_a_double() -> None:
    """A replay of a handler that saw another result than before is the one thing that must never be."""
    seen = all_well()
    other = Report(PLAIN, End(How.TIMED_OUT, ""), "task-0")
    seen = replace(seen, witnesses=[*seen.witnesses, other])
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
