"""What the dead letters of pending tasks tell. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from kallback.kafka import DeadLetter
from kallback.operations.dead_letters import attempt_of, tasks_of
from kallback.operations.doctor.findings import Finding, problem
from kallback.operations.replay_checks import NeedsTopic, ReplayRules, check_letter
from kallback.protocol import Attempt, TaskId


class TaskLetter(NamedTuple):
    """A dead letter that belongs to the current attempt of a pending task."""

    task_id: TaskId
    letter: DeadLetter


def letters_of(letter: DeadLetter, attempts: Mapping[TaskId, Attempt]) -> Iterator[TaskLetter]:
    """The pending tasks that a dead letter stops: not those that have a later attempt."""
    claimed = attempt_of(letter)
    for task_id in map(TaskId, sorted(tasks_of(letter))):
        current = attempts.get(task_id)
        if current is not None and (claimed is None or claimed >= current):
            yield TaskLetter(task_id, letter)


def letter_findings(found: Sequence[TaskLetter], rules: ReplayRules) -> Iterator[Finding]:
    """One finding for each reason, with the latest of its dead letters; `rules` say if a replay needs an option."""
    reasons = defaultdict[str, list[TaskLetter]](list)
    for each in found:
        reasons[each.letter.reason].append(each)
    for reason, own in reasons.items():
        last, others = own[-1], len({each.task_id for each in own}) - 1
        beside = f", as were those of {others:,} more pending tasks" if others else ""
        yield problem(
            "dead letters",
            f"a record of task {last.task_id} was dead-lettered ({reason}){beside}: {last.letter.detail}",
            f"see what it means and what to do: kallback dead-letters show {last.letter.id}"
            + _allowing(last.letter, rules),
        )


def _allowing(letter: DeadLetter, rules: ReplayRules) -> str:
    verdict = check_letter(letter, rules)
    if not isinstance(verdict, NeedsTopic):
        return ""
    return f"; a replay, if it helps, needs --allow-topic {verdict.topic}, if that is a topic of yours"
