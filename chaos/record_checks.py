"""Has every record become what it should? Results, outcomes, dead letters, committed positions. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from chaos.evidence import Check, Evidence, RecordPosition, Result
from chaos.plan import Plan
from chaos.work import How, Job, Kind, Report
from kallback.kafka import DeadLetter, UnknownEntry
from kallback.protocol import Outcome

_DEAD_LETTERED: Final = frozenset({Outcome.LATE, Outcome.UNUSABLE, Outcome.UNVERIFIED, Outcome.REJECTED})
_MAY_BECOME: Final = {
    Kind.DUPLICATED: {Outcome.DELIVERED, Outcome.DUPLICATE},
    Kind.FORGED: {Outcome.UNVERIFIED},
    Kind.MALFORMED: {Outcome.UNUSABLE, Outcome.DUPLICATE},
    Kind.LATE: {Outcome.LATE},
    Kind.BACKLOG: {Outcome.DELIVERED, Outcome.DUPLICATE},
}
_INJECTED: Final = tuple(_MAY_BECOME)


def accounted(plan: Plan, seen: Evidence) -> Check:
    """Every result record has outcomes, and only such as it may have."""
    outcomes = _outcomes(seen)
    wrong: list[str] = []
    for result in seen.results:
        became = outcomes.get(result.position, set())
        if not became:
            wrong.append(f"{result} has no outcome")
        elif odd := became - _may_become(plan, result):
            wrong.append(f"{result} became {', '.join(sorted(odd))}")
    known = {result.position for result in seen.results}
    wrong += [f"an outcome for {position}, where no record is" for position in sorted(outcomes.keys() - known)]
    return Check(f"{len(seen.results)} result records, each with its outcome: {_counted(seen)}", tuple(wrong))


def _may_become(plan: Plan, result: Result) -> set[Outcome]:
    if result.injected is not None:
        return _MAY_BECOME[result.injected]
    slow = result.number is not None and plan.jobs[result.number].kind is Kind.SLOW
    return {Outcome.DELIVERED, Outcome.DUPLICATE} | ({Outcome.LATE} if slow else set())


def delivered(plan: Plan, seen: Evidence) -> Check:
    """A task that got an answer got it from a record that says so."""
    outcomes = _outcomes(seen)
    became: dict[int, set[Outcome]] = defaultdict(set)
    for result in seen.results:
        if result.number is not None:
            became[result.number] |= outcomes.get(result.position, set())
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
    if made[Kind.BACKLOG] != plan.backlog.records:
        wrong += (f"a backlog of {made[Kind.BACKLOG]} results, not of {plan.backlog.records}",)
    counted = ", ".join(f"{made[kind]} {kind}" for kind in _INJECTED)
    return Check(f"records were injected as planned: {counted}", wrong)


def _unsent(seen: Evidence, job: Job) -> bool:
    report = seen.reports.get(job.number)
    return isinstance(report, Report) and report.end.how is How.NOT_SENT


def dead_letters(plan: Plan, seen: Evidence) -> Check:
    """Each was injected (or is late), byte for byte as it was; and whatever should be dead is."""
    results = {result.position: result for result in seen.results}
    letters = {_source(each): each for each in seen.dead_letters if isinstance(each, DeadLetter)}
    wrong = [sentence for each in seen.dead_letters for sentence in _wrong_with(each, results, plan)]
    for position, became in sorted(_outcomes(seen).items()):
        if became & _DEAD_LETTERED and position not in letters:
            wrong.append(f"no dead letter of {results.get(position, position)}")
    return Check(f"{len(seen.dead_letters)} dead letters, each one injected", tuple(wrong))


def _wrong_with(
    entry: DeadLetter | UnknownEntry, results: Mapping[RecordPosition, Result], plan: Plan
) -> Iterator[str]:
    result = results.get(_source(entry)) if isinstance(entry, DeadLetter) else None
    if not isinstance(entry, DeadLetter) or result is None:
        yield f"dead letter {entry.id} is of no result record: {entry}"
        return
    record = result.record
    if not _may_become(plan, result) & _DEAD_LETTERED:
        yield f"{result} was dead-lettered as {entry.id}: {entry.reason}, {entry.detail}"
    elif (entry.key, entry.value, entry.headers) != (record.key, record.value, record.headers):
        yield f"dead letter {entry.id} is not, byte for byte, the {result}"


def _source(letter: DeadLetter) -> RecordPosition:
    return letter.source.partition, letter.source.offset


def committed(plan: Plan, seen: Evidence) -> Check:
    """Groups have committed whatever there is."""
    del plan
    wrong = tuple(
        f"group {each.group} has committed {max(each.committed, 0)} of {each.end} in {each.topic}[{each.partition}]"
        for each in seen.progress
        if max(each.committed, 0) != each.end
    )
    return Check(f"all offsets are committed, in {len(seen.progress)} partitions", wrong)


def _outcomes(seen: Evidence) -> dict[RecordPosition, set[Outcome]]:
    found: dict[RecordPosition, set[Outcome]] = defaultdict(set)
    for outcome in seen.outcomes:
        found[outcome.position].add(outcome.outcome)
    return dict(found)


def _counted(seen: Evidence) -> str:
    by_outcome = Counter(outcome for outcomes in _outcomes(seen).values() for outcome in outcomes)
    again = len(seen.outcomes) - len({outcome.position for outcome in seen.outcomes})
    counted = ", ".join(f"{count} {outcome}" for outcome, count in by_outcome.most_common())
    return f"{counted or 'none'}; {again} of them more than once"
