"""Was anything lost, doubled, or left over? Each check is a sentence and what is wrong with it. Pure.

What faults excuse, and nothing else: a task with a short timeout may not be sent while the broker is away or Restate
hangs, and a slow one may get its value after all when Restate or the service comes back to find result and timeout both
there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Final

from chaos import record_checks, start_checks, team_checks
from chaos.evidence import Check, Evidence
from chaos.plan import Plan, Target
from chaos.stage import MemorySample
from chaos.work import End, How, Job, Kind, Report, end_with, result_of, right_end

LARGEST_MIB: Final = 200.0
GROWTH_MIB: Final = 64.0
_SETTLED_AGE: Final = 5.0
_SLACK: Final = 15.0
"""Seconds after an outage in which its effects are still felt: reconnects, a backlog, retries with back-off."""
_START: Final = 30.0
"""Seconds before its crash in which a process may have met an outage at its start."""


def check_all(plan: Plan, seen: Evidence) -> list[Check]:
    """Judge a run."""
    return [check(plan, seen) for check in _CHECKS]


def doubled(seen: Evidence) -> dict[int, set[End]]:
    """Tasks whose handler saw two different ends, over all its replays and in its output."""
    ends: dict[int, set[End]] = defaultdict(set)
    for report in (*seen.observations, *seen.reports.values()):
        if isinstance(report, Report):
            ends[report.number].add(report.end)
    return {number: different for number, different in ends.items() if len(different) > 1}


def lost(plan: Plan, seen: Evidence) -> list[Job]:
    """Tasks of which nobody knows how they ended."""
    return [job for job in plan.jobs if not isinstance(seen.reports.get(job.number), Report)]


def _nothing_lost(plan: Plan, seen: Evidence) -> Check:
    wrong = tuple(
        f"task {job.number} ({job.kind}, {_whose(seen, job.number)}): "
        f"{seen.reports.get(job.number, 'Restate never took it')}"
        for job in lost(plan, seen)
    )
    return Check(f"{len(plan.jobs)} tasks ended", wrong)


def _ended_right(plan: Plan, seen: Evidence) -> Check:
    wrong: list[str] = []
    for job in plan.jobs:
        report = seen.reports.get(job.number)
        if isinstance(report, Report) and report.end not in (allowed := _allowed_ends(job, seen)):
            expected = " or ".join(f"{end.how} {end.detail!r}" for end in allowed)
            wrong.append(
                f"task {job.number} ({job.kind}, {_whose(seen, job.number)}) ended with {report.end.how} "
                f"{report.end.detail!r}, not with {expected}"
            )
    return Check("each with the right value or the right error", tuple(wrong))


def _allowed_ends(job: Job, seen: Evidence) -> Sequence[End]:
    ends = [right_end(job)]
    report = seen.reports.get(job.number)
    if job.kind not in {Kind.SLOW, Kind.LATE} or not isinstance(report, Report):
        return ends
    if report.end.how is How.NOT_SENT and _met(job, seen, {Target.BROKER, Target.RESTATE, Target.SERVICE}):
        ends.append(report.end)
    if job.kind is Kind.SLOW and _met(job, seen, {Target.RESTATE, Target.SERVICE}):
        ends.append(end_with(result_of(job)))
    return ends


def _met(job: Job, seen: Evidence, targets: Collection[Target]) -> bool:
    """Whether an outage of one of these touched the task's life."""
    placed = seen.placed[job.number]
    return any(
        outage.target in targets
        and outage.began <= placed.taken + job.timeout + _SLACK
        and placed.began <= outage.ended + _SLACK
        for outage in seen.outages
    )


def _seen_once(plan: Plan, seen: Evidence) -> Check:
    del plan
    wrong = tuple(
        f"task {number} ({_whose(seen, number)}): its handler saw "
        + " and ".join(sorted(f"{end.how} {end.detail!r}" for end in ends))
        for number, ends in sorted(doubled(seen).items())
    )
    return Check(f"no handler saw two results, in {len(seen.observations)} observations", wrong)


def _nothing_waits(plan: Plan, seen: Evidence) -> Check:
    del plan
    return Check("no handler waits any more", tuple(seen.unfinished))


def _processes(plan: Plan, seen: Evidence) -> Check:
    """Nothing ends by itself, unless a server was away; nothing stays; nobody is killed for not ending."""
    del plan
    wrong = [
        f"{crash.name} ended by itself with exit code {crash.exit_code}: {crash.last_words}"
        for crash in seen.crashes
        if not any(
            outage.target in {Target.BROKER, Target.RESTATE} and outage.began <= crash.at <= outage.ended + _START
            for outage in seen.outages
        )
    ]
    wrong += [f"{name} ended with exit code {code} when asked to" for name, code in seen.shutdown.exit_codes if code]
    wrong += [f"{orphan} is still there" for orphan in seen.shutdown.orphans]
    wrong += seen.shutdown.complaints
    return Check(
        f"processes end when asked to and leave nothing; {len(seen.crashes)} ended by themselves", tuple(wrong)
    )


def _bridge_memory(plan: Plan, seen: Evidence) -> Check:
    del plan
    lives: dict[int, list[MemorySample]] = defaultdict(list)
    for sample in seen.memory:
        lives[sample.pid].append(sample)
    wrong: list[str] = []
    for pid, samples in lives.items():
        settled = [sample.mib for sample in samples if sample.age > _SETTLED_AGE]
        if settled and (growth := settled[-1] - settled[0]) > GROWTH_MIB:
            wrong.append(f"{samples[0].name} (process {pid}) grew by {growth:.0f} MiB in {samples[-1].age:.0f} s")
    most = max((sample.mib for sample in seen.memory), default=0.0)
    if most > LARGEST_MIB:
        wrong.append(f"a bridge took {most:.0f} MiB, more than {LARGEST_MIB:.0f}")
    return Check(f"bridges took {most:.0f} MiB at most, over {len(lives)} lives", tuple(wrong))


def _whose(seen: Evidence, number: int) -> str:
    placed, report = seen.placed.get(number), seen.reports.get(number)
    invocation = placed.invocation_id if placed else "no invocation"
    return f"{invocation}, task id {report.task_id}" if isinstance(report, Report) else invocation


_CHECKS: Final[tuple[Callable[[Plan, Evidence], Check], ...]] = (
    _nothing_lost,
    _ended_right,
    _seen_once,
    record_checks.accounted,
    record_checks.delivered,
    record_checks.injected,
    record_checks.dead_letters,
    record_checks.committed,
    start_checks.started_again_with_cause,
    team_checks.second_team_served,
    team_checks.teams_apart,
    _nothing_waits,
    _processes,
    _bridge_memory,
)
