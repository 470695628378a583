"""What the dead letters of pending tasks tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

from kallback.kafka import DeadLetter, read_entries
from kallback.operations.dead_letters import attempt_of, tasks_of
from kallback.operations.doctor.findings import Finding, problem, warning
from kallback.operations.doctor.servers import Servers
from kallback.operations.replay_checks import NeedsTopic, ReplayRules, check_letter
from kallback.protocol import Attempt, TaskId

_ENTRIES: Final = 10_000
"""Dead letters that are looked at."""


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


async def dead_letter_findings(
    servers: Servers, existing: frozenset[str] | None, attempts: Mapping[TaskId, Attempt], since_ms: int
) -> AsyncGenerator[Finding]:
    """Look at those of the current attempts of tasks, since a time, as far as they are read.

    Args:
        servers: have them.
        existing: names of topics; None if they are not known.
        attempts: the current ones.
        since_ms: epoch milliseconds.
    """
    topic, found, count = servers.settings.topics.dead_letters, list[TaskLetter](), 0
    if not attempts:
        return
    servers.require_kafka()
    if topic not in (existing or ()):
        return
    async with aclosing(read_entries(servers.sources.reader(topic, since_ms))) as entries:
        async for entry in entries:
            if isinstance(entry, DeadLetter):
                found += letters_of(entry, attempts)
            count += 1
            if count == _ENTRIES:
                break
    for finding in letter_findings(found, ReplayRules.of(servers.settings)):
        yield finding
    if count == _ENTRIES:
        yield warning("dead letters", f"of those since the oldest task only {_ENTRIES:,} were looked at")
