"""Publishes attempts, while the wait loop waits for other tasks as well.

    begin ──► watch: TaskMonitor answers ──► publish: Kafka acknowledges ──► the task waits for its result
                                               ▲          │ not now
                                               └── pause ◄┘

A publishing step never raises because of Kafka, and its result is journaled. While Kafka is unavailable, durable timers
are waited for between the steps, until Kafka has each record or the deadline passes. A topic or a permission that is
missing is waited for, too, for a bounded time.

An attempt whose result comes meanwhile was sent, although its acknowledgement is lost: it waits no more. Of many tasks
that is looked at when the step or the pause is over: each result would end the wait, and to begin it again costs more
the more futures it has, so a handler that starts thousands would do nothing else.

A handler that catches its cancellation and waits again publishes the next attempt: the one that was not acknowledged is
cancelled, because a step that has begun may still write its record. If the handler ends the task instead, nothing more
is published.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from msgspec.structs import replace
from restate import TerminalError

from kallback.kafka import OutgoingRecord
from kallback.protocol import UNEXPECTED_ERROR, PublishedTask, PublishedTasks, TaskId, locate_awakeable
from kallback.protocol.tokens import FIRST_ATTEMPT
from kallback.sdk.errors import GATEWAY_TIMEOUT, KAFKA_UNAVAILABLE, NOT_WATCHED, UNAVAILABLE
from kallback.sdk.journal.acknowledgement import holding_time
from kallback.sdk.journal.publish import (
    NotSetUp,
    Publication,
    PublishOutcome,
    Refused,
    Sent,
    Unpublished,
    publish_step,
    retry_delays,
)
from kallback.sdk.monitoring.decide import WatchRequest
from kallback.sdk.monitoring.unknown_service import UnknownMonitorError
from kallback.sdk.tasks.late_results import is_completed
from kallback.sdk.tasks.running_task import Future, RunningTask
from kallback.sdk.tasks.setup_limit import Failures, SetupLimit
from kallback.sdk.tasks.task import task_label

Tasks = Sequence[RunningTask[Any]]
_FEW: Final = 100
"""Maximum number of tasks whose results end the wait."""
_UNACKNOWLEDGED: Final = "Kafka did not acknowledge the task before its deadline: start Kafka or check its address"
_NOT_WATCHED: Final = (
    "TaskMonitor did not answer before the deadline: serve your services with callbacks.app([...]) and register them, "
    "or declare the task type without start_timeout and heartbeat_every"
)


class PendingPublication:
    """The current attempts of tasks that share a task type and a deadline, until Kafka has them.

    A task that is not published ends with `TaskNotSent`.

    Args:
        tasks: which of them.
        result_follows: whether their handler waits for nothing but their results: see `journal/acknowledgement.py`.

    Attributes:
        tasks: those that still wait.
    """

    def __init__(self, tasks: Tasks, *, result_follows: bool = False) -> None:
        self.tasks = tasks
        self._result_follows: Final = result_follows
        self._failures: Final = Failures()
        self._setup = SetupLimit()
        self._delays: Final = retry_delays()
        self._future: Future | None = None
        self._on_completed: Callable[[], Awaitable[None]] = self.begin
        self._on_deadline: Callable[[RunningTask[Any]], None] = self._end_unpublished

    async def begin(self) -> None:
        """Open the next attempts of tasks that are ready for one; have the attempts watched if their type needs it.

        Raises:
            TerminalError: the invocation was cancelled (409).
        """
        for task in self.tasks:
            if task.ready:
                await task.renew()
        requests = {task.task_id: request for task in self.tasks if (request := task.watch_request()) is not None}
        if requests:
            await self._watch(requests)
        else:
            self._publish()

    def futures(self) -> list[Future]:
        """What is waited for, the timer of the deadline, and the results of a few tasks."""
        results = [task.pending.future for task in self.tasks] if len(self.tasks) <= _FEW else []
        return [future for future in (self._future, self.tasks[0].spec.timer, *results) if future is not None]

    async def advance(self, completed: AbstractSet[Future]) -> None:
        """Act on completed futures.

        Raises:
            TerminalError: the invocation was cancelled (409).
        """
        self._leave_answered()
        if not self.tasks:
            return
        if self._future in completed:
            await self._on_completed()
        elif self.tasks[0].spec.timer in completed:
            for task in self.tasks:
                self._on_deadline(task)
        else:
            self._keep()

    def _leave_answered(self) -> None:
        for task in self.tasks:
            task.publication = None
            if is_completed(task.pending.future):
                self._failures.pop(task, None)
        self.tasks = [task for task in self.tasks if not is_completed(task.pending.future)]

    async def _watch(self, requests: Mapping[TaskId, WatchRequest]) -> None:
        """One call, however many tasks."""
        ctx, monitor = self.tasks[0].ctx, self.tasks[0].dependencies.monitor
        self._keep()
        try:
            if len(requests) > 1:
                answer = await monitor.watch_many(ctx, dict(requests))
            else:
                answer = await monitor.watch(ctx, *next(iter(requests.items())))
        except UnknownMonitorError as error:
            for task in self.tasks:
                task.end_unwatched(error)
            return
        self._on_deadline = _end_unwatched
        self._wait(answer, partial(self._watched, answer))

    async def _watched(self, answer: Future) -> None:
        """The answer is the last heartbeat's details, or nothing."""
        try:
            details = await answer
        except TerminalError as error:  # of the call: a cancellation is raised before it is completed
            for task in self.tasks:
                task.end_unpublished(NOT_WATCHED, error.status_code, f"TaskMonitor does not watch it: {error.message}")
            return
        for task in self.tasks:
            task.continue_from(details)
        self._publish()

    def _publish(self) -> None:
        if not self.tasks:
            return
        self._on_deadline = self._end_unpublished
        step = _issue_step(self.tasks, result_follows=self._result_follows)
        self._wait(step, partial(self._published, step, self.tasks))

    async def _published(self, step: Future, sent: Tasks) -> None:
        try:
            outcome = await step
        except TerminalError as error:  # a defect; Restate has repeated the step as often as it may
            refused = Refused(UNEXPECTED_ERROR, error.status_code, error.message)
            outcome = PublishOutcome(failures=dict.fromkeys(range(len(sent)), refused))
        waiting = frozenset(self.tasks)
        partitions = outcome.partitions()
        self._failures.clear()
        for index, task in enumerate(sent):
            if task in waiting:
                task.partition = partitions.get(task.task_id)
                self._record(task, outcome.failures.get(index))
        self.tasks = list(self._failures)
        if self.tasks:
            first, delay = self.tasks[0], self._setup.delay(self._failures, next(self._delays))
            self._wait(first.ctx.sleep(delay, first.name("wait for Kafka, then publish")), self._paused)

    def _record(self, task: RunningTask[Any], failure: Unpublished | Refused | None) -> None:
        """What Kafka may take later is kept; what it never takes ends its task."""
        if isinstance(failure, Refused):
            task.end_unpublished(failure.kind, failure.status, failure.detail)
        elif failure is not None:
            self._failures[task] = failure

    async def _paused(self) -> None:
        self.tasks = self._setup.end_expired(self._failures)
        if not (self.tasks and _times_have_passed(self.tasks[0])):
            self._publish()
            return
        for task in self.tasks:
            task.give_up_unpublished()
        if len(self.tasks) == 1:
            await self.begin()
        else:
            for task in self.tasks:
                await self._alone(task).begin()

    def _alone(self, task: RunningTask[Any]) -> PendingPublication:
        """For a task whose next attempt has times of its own."""
        alone = PendingPublication([task])
        alone._failures[task], alone._setup = self._failures[task], copy(self._setup)
        return alone

    def _wait(self, future: Future, on_completed: Callable[[], Awaitable[None]]) -> None:
        self._future, self._on_completed = future, on_completed
        self._keep()

    def _keep(self) -> None:
        for task in self.tasks:
            task.publication = self

    def _end_unpublished(self, task: RunningTask[Any]) -> None:
        failure = self._failures.get(task)
        if isinstance(failure, NotSetUp):
            task.end_unpublished_at_deadline(failure.kind, failure.status, failure.detail)
        elif failure is None and task.attempt != FIRST_ATTEMPT:  # there was no time to ask Kafka
            task.time_out()
        else:
            answer = "no acknowledgement yet" if failure is None else failure.detail
            task.end_unpublished_at_deadline(KAFKA_UNAVAILABLE, UNAVAILABLE, f"{_UNACKNOWLEDGED} ({answer})")


def _issue_step(tasks: Tasks, *, result_follows: bool) -> Future:
    first = tasks[0]
    return publish_step(
        first.ctx,
        first.dependencies.publisher,
        _batch(tasks),
        name=_step_name(tasks),
        on_sent=partial(_observe_sent, first),
        holding_time=partial(_holding_time, first) if result_follows else None,
    )


def _holding_time(task: RunningTask[Any]) -> float:
    """For how many seconds the acknowledgement of the current attempt may be kept back."""
    deadline_ms = task.pending.headers.deadline_ms
    return holding_time(None if deadline_ms is None else deadline_ms / 1000 - task.dependencies.clock())


@dataclass(frozen=True, slots=True)
class _Batch:
    """Attempts as `publish_step` needs them: a task may have its next attempt before the step is over."""

    records: Sequence[OutgoingRecord]
    shared: PublishedTasks
    attempts: Sequence[PublishedTask]

    def published(self, sent: Mapping[int, Sent]) -> PublishedTasks:
        tasks = [replace(self.attempts[index], partition=at.partition, offset=at.offset) for index, at in sent.items()]
        return replace(self.shared, tasks=tasks)


def _batch(tasks: Tasks) -> _Batch:
    spec = tasks[0].spec
    shared = PublishedTasks(
        spec.task_type.name,
        spec.task_type.topic,
        [],
        created_ms=spec.identity.created_ms,
        deadline_ms=spec.identity.deadline_ms,
        monitored=spec.task_type.monitored,
        audience=tasks[0].dependencies.signing.audience,
    )
    signals = [locate_awakeable(task.pending.awakeable_id).signal_index for task in tasks]
    attempts = [
        PublishedTask(task.task_id, task.attempt, signal, partition=0, offset=0)
        for task, signal in zip(tasks, signals, strict=True)
    ]
    return _Batch([task.record() for task in tasks], shared, attempts)


def _step_name(tasks: Tasks) -> str:
    """The name of the publishing step, by which people find a task in Restate's own tools."""
    first = tasks[0]
    if len(tasks) > 1:
        return f"publish {len(tasks)} {first.type_name}"
    return f"publish {task_label(first.type_name, first.task_id, first.attempt)}"


def _observe_sent(first: RunningTask[Any], publications: Sequence[Publication], seconds: float) -> None:
    failures = [it.detail for it in publications if not isinstance(it, Sent)]
    spec, acknowledged = first.spec, len(publications) - len(failures)
    first.dependencies.observer.sent(spec.task_type.name, spec.identity, seconds, acknowledged, failures)


def _times_have_passed(task: RunningTask[Any]) -> bool:
    """Whether an unpublished attempt needs new times.

    With a start timeout always, because nothing tells whether the time to start has passed.
    """
    if task.spec.task_type.start_timeout is not None:
        return True
    return task.limit is not None and is_completed(task.limit)


def _end_unwatched(task: RunningTask[Any]) -> None:
    task.end_unpublished_at_deadline(NOT_WATCHED, GATEWAY_TIMEOUT, _NOT_WATCHED)
