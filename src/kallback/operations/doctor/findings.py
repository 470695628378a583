"""What the doctor finds: the values, and the decisions on what was seen. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kallback.documentation import page_address
from kallback.durations import span
from kallback.kafka import PartitionTransaction, Position, TopicGroup, TopicPartition
from kallback.operations.doctor.failures import admin_command, repair_of
from kallback.operations.invocations import InvocationStatus
from kallback.operations.tasks import PendingTask, TaskState
from kallback.protocol.claims import read_claims
from kallback.protocol.errors import UnverifiedError

_LARGE_LAG: Final = 1000
_NAMED: Final = 10
"""Topics that a sentence names."""
_SESSIONS: Final = {"bridges": "6 s", "workers": "10 to 45 s"}
"""Session timeouts by default. Kafka does not say when a member gave its last sign of life."""
_STEADY_MS: Final = 10_000
"""A run of a handler that has lasted so long waits; one that fails again and again mostly fails at once."""
_LONG_OPEN_MS: Final = 10_000
"""Producers that work end a transaction sooner."""
_CLOCK_MS: Final = 5_000
"""Heartbeats and deadlines bear this much."""


class Severity(StrEnum):
    """What a finding means for tasks."""

    OK = "ok"
    WARNING = "warning"
    """It may be meant so, or it will become a problem."""
    PROBLEM = "problem"
    """Tasks do not end because of it."""
    FOLLOWS = "follows"
    """It follows from a problem that has a finding of its own, and ends with it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what, in a word or two.
        sentence: what was found.
        remedy: what to do; empty if nothing.
    """

    subject: str
    severity: Severity
    sentence: str
    remedy: str = ""


def ok(subject: str, sentence: str) -> Finding:
    """Nothing to do."""
    return Finding(subject, Severity.OK, sentence)


def problem(subject: str, sentence: str, remedy: str = "") -> Finding:
    """Tasks do not end because of it."""
    return Finding(subject, Severity.PROBLEM, sentence, remedy)


def warning(subject: str, sentence: str, remedy: str = "") -> Finding:
    """It may be meant so."""
    return Finding(subject, Severity.WARNING, sentence, remedy)


def follows(subject: str, sentence: str) -> Finding:
    """It follows from a problem that another finding names."""
    return Finding(subject, Severity.FOLLOWS, sentence)


def clock_finding(difference_ms: int) -> Finding:
    """Whether this machine and Restate agree on the time; the difference is positive if this clock is ahead."""
    if abs(difference_ms) <= _CLOCK_MS:
        return ok("clocks", "this machine and Restate agree on the time")
    return warning(
        "clocks",
        f"this machine's clock is {span(difference_ms)} {'ahead of' if difference_ms > 0 else 'behind'} Restate's",
        "synchronize the clocks (NTP): deadlines are set by services and checked by workers and bridges",
    )


def topic_findings(names: Iterable[str], existing: frozenset[str], outcomes: str = "") -> Iterator[Finding]:
    """Whether kallback's own topics exist; that of outcomes may be missing, if it is not wanted."""
    wanted = list(names)
    missing = [name for name in wanted if name not in existing]
    if missing:
        several = len(missing) > 1
        said = f"topics {', '.join(missing)} do not exist" if several else f"topic {missing[0]} does not exist"
        yield problem("topics", said, f"create {'them' if several else 'it'}: kallback topics create")
    else:
        found = [*wanted, outcomes] if outcomes in existing else wanted
        without = f"; {outcomes}, for bridges with --outcomes, does not" if outcomes and found is wanted else ""
        yield ok("topics", f"kallback's own topics exist: {', '.join(found)}{without}")


def transaction_findings(found: Sequence[PartitionTransaction], now_ms: int) -> Iterator[Finding]:
    """Which transactions hold back what was written behind them: one finding for each producer."""
    by_producer: dict[tuple[int, str | None], list[PartitionTransaction]] = {}
    for each in found:
        if now_ms - each.written_ms >= _LONG_OPEN_MS:
            by_producer.setdefault((each.producer_id, each.transactional_id), []).append(each)
    for (producer_id, transactional_id), parts in by_producer.items():
        name = "" if transactional_id is None else f" ({transactional_id})"
        idle_s = (now_ms - max(each.written_ms for each in parts)) // 1000
        yield problem(
            "transactions",
            f"a transaction of producer {producer_id}{name} is open in {_places(parts)}, and nothing behind it is "
            f"read; the producer last wrote {idle_s} s ago",
            f"end its process, or the transaction: {page_address('observability', 'open-transactions')}",
        )


def _places(parts: Sequence[PartitionTransaction]) -> str:
    ordered = sorted(parts, key=lambda each: each.partition)
    return ", ".join(f"{each.partition} from offset {each.start_offset} on" for each in ordered)


def is_read(groups: Sequence[TopicGroup]) -> bool:
    """Whether a topic with these groups has a reader."""
    return any(group.members for group in groups)


def unread_finding(subject: str, topics: Mapping[str, Sequence[TopicGroup]], remedy: str) -> Finding:
    """That nothing reads some topics.

    Args:
        subject: of the finding.
        topics: their names, each with the groups that have read it.
        remedy: what to start.
    """
    left = sorted({group.name for groups in topics.values() for group in groups})
    which = "it" if len(topics) == 1 else "them"
    known = f" (no member of {', '.join(left)} reads {which})" if left else ""
    named = list(topics)[:_NAMED]
    more = f" and {len(topics) - len(named)} more topics" if len(topics) > len(named) else ""
    return problem(subject, f"nothing reads {', '.join(named)}{more}{known}", remedy)


def reader_findings(subject: str, topic: str, groups: Sequence[TopicGroup]) -> Iterator[Finding]:
    """How far the readers of a topic are behind."""
    for group in groups:
        if group.members:
            yield _group_finding(subject, topic, group)


def worker_findings(topic: str, groups: Sequence[TopicGroup]) -> Iterator[Finding]:
    """Whether workers read a topic of tasks, and how far they are behind."""
    if not is_read(groups):
        yield from unread_workers_findings({topic: groups})
    yield from reader_findings("workers", topic, groups)


def unread_workers_findings(unread: Mapping[str, Sequence[TopicGroup]]) -> Iterator[Finding]:
    """One finding for the topics of one worker that has stopped, and one for those that were never read.

    Args:
        unread: topics of tasks that nothing reads, each with the groups that have read it.
    """
    stopped = defaultdict[frozenset[str], dict[str, Sequence[TopicGroup]]](dict)
    for topic, groups in unread.items():
        stopped[frozenset(group.name for group in groups)][topic] = groups
    for topics in stopped.values():
        what = f"a worker that reads {next(iter(topics))}" if len(topics) == 1 else "workers that read them"
        yield unread_finding("workers", topics, f"start {what}")


def _group_finding(subject: str, topic: str, group: TopicGroup) -> Finding:
    members = "1 member" if group.members == 1 else f"{group.members} members"
    records = "1 record" if group.lag == 1 else f"{group.lag:,} records"
    said = f"group {group.name} reads {topic} with {members}, {records} behind"
    if group.unassigned:
        return warning(
            subject,
            f"{said}; {group.unassigned} partitions have no reader",
            "wait for the end of the rebalance; if it stays so, look at the members' logs",
        )
    if group.lag >= _LARGE_LAG:
        return warning(subject, said, "start more of them, or find out what slows them down")
    if not group.lag:
        return ok(subject, said)
    killed = f"a member that was killed is counted until its session timeout ends, {_SESSIONS[subject]} by default"
    return ok(subject, f"{said}, under way or waiting; {killed}")


def invocation_finding(invocation: InvocationStatus | None, now_ms: int) -> Finding:
    """Whether the invocation can take a result. One that has run for a while does not fail any more: it waits."""
    if invocation is None:
        return warning(
            "invocation", "Restate does not know the waiting invocation any more", "look again: it has just ended"
        )
    said = f"{invocation.short_target} is {invocation.status}"
    failures, run_ms = invocation.failures, invocation.run_ms(now_ms)
    if failures and run_ms is not None and run_ms >= _STEADY_MS:
        return ok("invocation", f"{said} for {span(run_ms)}; before, it failed {counted_times(failures)}")
    if failures:
        said = f"{said}, failed {counted_times(failures)}: {invocation.failure_line}"
    if invocation.status == "paused":
        remedy = f"{repair_of(invocation)}; then resume it: {admin_command('resume', invocation.id)}"
        return problem("invocation", said, remedy)
    if failures and run_ms is not None:
        remedy = f"look again in a minute; if it stays so, {repair_of(invocation)}"
        return warning("invocation", f"{said}; it runs again", remedy)
    if invocation.status == "backing-off" or failures:
        return problem("invocation", said, f"{repair_of(invocation)}; it cannot take a result while it fails")
    return ok("invocation", said)


def counted_times(count: int) -> str:
    """A number of failures, as people say it."""
    return "once" if count == 1 else f"{count} times"


def place_findings(at: Position, groups: Sequence[TopicGroup], *, is_without_bridge: bool = False) -> Iterator[Finding]:
    """How far the groups of a task's topic are from its record.

    Args:
        at: where the record is.
        groups: those that read its topic.
        is_without_bridge: nothing reads results, which is a finding of its own.
    """
    for group in [each for each in groups if each.members]:
        position = group.committed.get(TopicPartition(at.topic, at.partition))
        if position is None:
            yield warning("record", f"group {group.name} has not committed anything in {at.topic}[{at.partition}]")
        elif position > at.offset and is_without_bridge:
            yield follows(
                "record", f"group {group.name} is done with the task's record ({at}): a result waits to be read"
            )
        elif position > at.offset:
            yield warning(
                "record",
                f"group {group.name} is done with the task's record ({at})",
                "if no result is under way, the worker dropped it or its result was refused: look at the worker's log "
                "and at the dead letters: kallback dead-letters list",
            )
        else:
            before = at.offset - position
            where = (
                f", or waits behind {before:,} others"
                if before
                else " or is next (not while its worker drains: --process tells)"
            )
            yield ok(
                "record",
                f"group {group.name} is at offset {position} of {at.topic}[{at.partition}], the task's record is at "
                f"{at.offset}: it runs{where}",
            )


def key_finding(token: str, known: Sequence[str]) -> Finding | None:
    """Whether bridges with our keys believe what the worker of a task sends; None if they know the token's key."""
    try:
        key_id = read_claims(token).key_id
    except UnverifiedError:
        return None
    if not known or key_id in known:
        return None
    return warning(
        "keys",
        f"the task's token is signed with key {key_id!r}, which is not among these ({', '.join(map(repr, known))}): "
        "bridges that do not have it refuse the task's heartbeats and its result",
        "give the bridges the key; results that they refused before are dead letters, which can be replayed",
    )


def overdue_finding(task: PendingTask, *, is_stuck: bool = False) -> Finding:
    """For what waits although its deadline has passed; that its handler cannot go on may be a finding of its own."""
    said = "its deadline has passed and its handler has not gone on"
    remedy = f"see what Restate says of its handler: kallback tasks show {task.task_id}"
    return follows("task", said) if is_stuck else problem("task", said, remedy)


def is_overdue(task: PendingTask, now_ms: int) -> bool:
    """Whether the deadline of a task has passed."""
    return task.deadline_ms is not None and task.deadline_ms < now_ms


def state_finding(task: PendingTask, now_ms: int, *, is_unread: bool = False) -> Finding:
    """How far the task is, as far as its journal and its type tell.

    Args:
        task: a task of workers.
        now_ms: the time.
        is_unread: nothing reads its topic, or what its worker reports, which is a finding of its own.
    """
    if is_overdue(task, now_ms):
        return overdue_finding(task)
    if task.next_attempt_ms is not None:
        return _next_attempt_finding(task, task.next_attempt_ms - now_ms)
    if task.state is TaskState.NOT_STARTED:
        said = "no worker has reported that it began"
        topic = task.task_type if task.position is None else task.position.topic
        remedy = (
            "if its worker is at work, a bridge refuses what it reports, for example because it lacks the token's key: "
            "its log says why; otherwise see who reads its topic, and how far they are behind: "
            f"kallback workers list {topic}"
        )
        return follows("task", said) if is_unread else warning("task", said, remedy)
    if task.progress is None:
        return ok("task", "its record is in Kafka; its type has no heartbeats, so nothing tells whether it runs")
    heard_ms = task.progress.heartbeat_ms or task.progress.started_ms or now_ms
    said = f"a worker has begun; its last sign of life is {span(max(0, now_ms - heard_ms))} old"
    unchanged_ms = task.progress.unchanged_since_ms
    if unchanged_ms is None:
        return ok("task", f"{said}; its heartbeats have no details, so they do not tell whether it gets on")
    return ok("task", f"{said}; its details are the same for {span(max(0, now_ms - unchanged_ms))}")


def _next_attempt_finding(task: PendingTask, left_ms: int) -> Finding:
    """What follows an attempt that has failed."""
    said = f"attempt {task.attempt} has failed"
    if left_ms > 0:
        return ok("task", f"{said}; its handler sends attempt {task.attempt + 1} in {span(left_ms)}")
    return warning(
        "task",
        f"{said}, and Kafka does not have attempt {task.attempt + 1} yet, which was due {span(left_ms)} ago",
        f"look again; if it stays so, see whether its service answers: kallback doctor {task.task_type}",
    )
