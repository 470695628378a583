"""Has anything of one team reached the other, and did each notice its own loss? Pure."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.evidence import Check, Evidence
from chaos.plan import Plan
from chaos.work import Job, Report, right_end
from kallback.protocol import Outcome


def second_team_served(plan: Plan, seen: Evidence) -> Check:
    """Its tasks ended right, also the one in whose middle its worker died."""
    wrong = [
        f"task {job.number} ({job.kind}) of the second team: {_end_of(job, seen)}"
        for job in plan.second_jobs
        if not _ended_right(job, seen)
    ]
    wrong += _loss(plan, seen)
    return Check(
        f"{len(plan.second_jobs)} tasks of the second team ended right, and it noticed its own loss", tuple(wrong)
    )


def teams_apart(plan: Plan, seen: Evidence) -> Check:
    """Each result lies on its own team's topic, and nothing of the second team is dead-lettered or unverified."""
    del plan
    second = seen.second
    theirs = {report.task_id for report in second.reports.values() if isinstance(report, Report)}
    ours = {report.task_id for report in seen.reports.values() if isinstance(report, Report)}
    wrong = [f"a result of task {key} lies on the second team's topic" for key in second.result_keys if key in ours]
    wrong += [
        f"{result} is one of the second team's task"
        for result in seen.results
        if (result.record.key or b"").decode(errors="replace") in theirs
    ]
    wrong += [f"the second team has a dead letter: {reason}" for reason in second.dead_letters]
    if unverified := second.outcomes[Outcome.UNVERIFIED]:
        wrong.append(f"the second team's bridge could not verify {unverified} results")
    return Check(f"nothing crossed between the teams, in {len(second.result_keys)} results of the second", tuple(wrong))


def _ended_right(job: Job, seen: Evidence) -> bool:
    report = seen.second.reports.get(job.number)
    return isinstance(report, Report) and report.end == right_end(job)


def _end_of(job: Job, seen: Evidence) -> str:
    report = seen.second.reports.get(job.number, "Restate never took it")
    return report if isinstance(report, str) else f"it ended with {report.end.how} {report.end.detail!r}"


def _loss(plan: Plan, seen: Evidence) -> Iterator[str]:
    if not plan.second_jobs:
        return
    interrupted = seen.second.interrupted
    if interrupted is None:
        yield "no long task of the second team began, so its worker was not killed in the middle of one"
    elif seen.second.runs[interrupted] < 2:  # noqa: PLR2004 - begun, and begun again
        yield f"task {interrupted} of the second team was not begun again after its worker had been killed"
