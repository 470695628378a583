"""Has every record become what it had to? Results, outcomes, dead letters, committed positions. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Final

from chaos.evidence import Check, Evidence, Place, Result
from chaos.plan import Plan
from chaos.work import How, Job, Kind, Report
from kallback.kafka import DeadLetter
from kallback.protocol import Outcome

_BURIED: Final = frozenset({Outcome.LATE, Outcome.UNUSABLE, Outcome.UNVERIFIED, Outcome.REJECTED})
_MAY_BECOME: Final = {
    Kind.DUPLICATED: {Outcome.DELIVERED, Outcome.DUPLICATE},
    Kind.FORGED: {Outcome.UNVERIFIED},
    Kind.MALFORMED: {Outcome.UNUSABLE, Outcome.DUPLICATE},
    Kind.LATE: {Outcome.LATE},
}
_INJECTED: Final = tuple(_MAY_BECOME)


def accounted(plan: Plan, seen: Evidence) -> Check:
    """Every result record has outcomes, and only such as it may have."""
    verdicts = _verdicts(seen)
    wrong: list[str] = []
    for result in seen.results:
        outcomes = verdicts.get(result.place, set())
        if not outcomes:
            wrong.append(f"{result} has no outcome")
        elif odd := outcomes - _may_become(plan, result):
            wrong.append(f"{result} became {', '.join(sorted(odd))}")
    known = {result.place for result in seen.results}
    wrong += [f"an outcome for {place}, where no record is" for place in sorted(verdicts.keys() - known)]
    return Check(f"{len(seen.results)} result records, each with its outcome: {_counted(seen)}", tuple(wrong))


def _may_become(plan: Plan, result: Result) -> set[Outcome]:
    if result.injected is not None:
        return _MAY_BECOME[result.injected]
    slow = result.number is not None and plan.jobs[result.number].kind is Kind.SLOW
    return {Outcome.DELIVERED, Outcome.DUPLICATE} | ({Outcome.LATE} if slow else set())


def delivered(plan: Plan, seen: Evidence) -> Check:
    """A task that got an answer got it from a record that says so."""
    verdicts = _verdicts(seen)
    became: dict[int, set[Outcome]] = defaultdict(set)
    for result in seen.results:
        if result.number is not None:
            became[result.number] |= verdicts.get(result.place, set())
    wrong: list[str] = []
    for job in plan.jobs:
        report = seen.reports.get(job.number)
        answered = isinstance(report, Report) and report.end.how in {How.VALUE, How.FAILED}
        needed = Outcome.UNUSABLE if job.kind is Kind.MALFORMED else Outcome.DELIVERED
        if answered and needed not in became[job.number]:
            wrong.append(f"task {job.number} got its answer, but none of its records is {needed}")
    return Check("every answer comes from a record whose outcome says so", tuple(wrong))


def injected(plan: Plan, seen: Evidence) -> Check:
    """What was to be injected was: a run without it would prove nothing."""
    made = Counter(result.injected for result in seen.results if result.injected is not None)
    about = {(result.injected, result.number) for result in seen.results}
    wrong = tuple(
        f"no {job.kind} record about task {job.number}"
        for job in plan.jobs
        if job.kind in _INJECTED and (job.kind, job.number) not in about and not _unsent(seen, job)
    )
    counted = ", ".join(f"{made[kind]} {kind}" for kind in _INJECTED)
    return Check(f"records were injected as planned: {counted}", wrong)


def _unsent(seen: Evidence, job: Job) -> bool:
    report = seen.reports.get(job.number)
    return isinstance(report, Report) and report.end.how is How.NOT_SENT


def dead_letters(plan: Plan, seen: Evidence) -> Check:
    """Each was injected (or is late), byte for byte as it was; and whatever should be dead is."""
    results = {result.place: result for result in seen.results}
    verdicts = _verdicts(seen)
    wrong: list[str] = []
    for letter in seen.letters:
        result = (
            results.get((letter.source.partition, letter.source.offset)) if isinstance(letter, DeadLetter) else None
        )
        if not isinstance(letter, DeadLetter) or result is None:
            wrong.append(f"dead letter {letter.id} is of no result record: {letter}")
        elif not _may_become(plan, result) & _BURIED:
            wrong.append(f"{result} was dead-lettered as {letter.id}: {letter.reason}, {letter.detail}")
        elif (letter.key, letter.value, letter.headers) != (
            result.record.key, result.record.value, result.record.headers
        ):  # fmt: skip
            wrong.append(f"dead letter {letter.id} is not, byte for byte, the {result}")
    buried = {(each.source.partition, each.source.offset) for each in seen.letters if isinstance(each, DeadLetter)}
    missing = sorted(place for place, outcomes in verdicts.items() if outcomes & _BURIED and place not in buried)
    wrong += [f"no dead letter of {results.get(place, place)}" for place in missing]
    return Check(f"{len(seen.letters)} dead letters, each one injected", tuple(wrong))


def committed(plan: Plan, seen: Evidence) -> Check:
    """Groups have committed whatever there is."""
    del plan
    wrong = tuple(
        f"group {each.group} has committed {max(each.committed, 0)} of {each.end} in {each.topic}[{each.partition}]"
        for each in seen.progress
        if max(each.committed, 0) != each.end
    )
    return Check(f"all offsets are committed, in {len(seen.progress)} partitions", wrong)


def _verdicts(seen: Evidence) -> dict[Place, set[Outcome]]:
    found: dict[Place, set[Outcome]] = defaultdict(set)
    for verdict in seen.verdicts:
        found[verdict.place].add(verdict.outcome)
    return dict(found)


def _counted(seen: Evidence) -> str:
    by_outcome = Counter(outcome for outcomes in _verdicts(seen).values() for outcome in outcomes)
    again = len(seen.verdicts) - len({verdict.place for verdict in seen.verdicts})
    counted = ", ".join(f"{count} {outcome}" for outcome, count in by_outcome.most_common())
    return f"{counted or 'none'}; {again} of them more than once"
