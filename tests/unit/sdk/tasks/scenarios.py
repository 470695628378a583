"""Handlers that wait in each way that `Callbacks` has, and what goes wrong around them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import restate

from kallback.kafka import MemoryBroker
from kallback.protocol import Attempt, Cancel, RetryPolicy, TaskHeaders, TaskId, TaskType
from kallback.sdk import TaskAwakeable, TaskCancelled, TaskError, TaskHandle
from kallback.sdk.monitoring.unknown_service import CallTries
from kallback.sdk.tasks.running_task import RunningTask
from kallback.testing import HandlerTest
from kallback.testing.in_memory.monitor import SimulatedMonitor
from kallback.workers import TaskFailure

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
SOON = RetryPolicy(attempts=3, first_delay=SECOND)
PLAIN = TaskType("plain", request=str, result=str, timeout=MINUTE)
SILENT = TaskType("silent", request=str, result=str, timeout=2 * SECOND)
FAILING = TaskType("failing", request=str, result=str, timeout=MINUTE)
RETRIED = TaskType("retried", request=str, result=str, timeout=MINUTE, retry=SOON)
LIMITED = TaskType("limited", request=str, result=str, timeout=MINUTE, retry=SOON, attempt_timeout=5 * SECOND)
WATCHED = TaskType("watched", request=str, result=str, timeout=MINUTE, retry=SOON, heartbeat_every=SECOND)
UNLUCKY = TaskType("unlucky", request=str, result=str, timeout=MINUTE, retry=SOON, heartbeat_every=SECOND)
LOST = TaskType("lost", request=str, result=str, timeout=MINUTE, heartbeat_every=SECOND)
BROKEN, BAD = TaskFailure("OvenBroken", retryable=True), TaskFailure("BadOrder", retryable=False)


@dataclass
class Sent:
    """What the sdk sent, or tried to send: the last attempt of each task, and up to which one it is cancelled."""

    attempts: dict[TaskId, Attempt] = field(default_factory=dict[TaskId, Attempt])
    cancelled: dict[TaskId, float] = field(default_factory=dict[TaskId, float])
    owed: dict[TaskId, Attempt] = field(default_factory=dict[TaskId, Attempt])
    wrong: list[str] = field(default_factory=list[str])

    @property
    def untold(self) -> list[TaskId]:
        """Tasks with an attempt that should be cancelled."""
        return [task_id for task_id, attempt in self.owed.items() if self.cancelled.get(task_id, 0) < attempt]

    def owe(self, task_ids: list[TaskId]) -> None:
        """The attempts of these tasks that were sent must be cancelled in the end."""
        self.owed |= {each: self.attempts[each] for each in task_ids if each in self.attempts}

    def cancel(self, cancel: Cancel) -> None:
        """A cancel: of more than is cancelled already."""
        last = math.inf if cancel.attempt is None else cancel.attempt
        if self.cancelled.get(cancel.task_id, 0) >= last:
            self.wrong.append(f"told again: {cancel}")
        self.cancelled[cancel.task_id] = last

    def task(self, headers: TaskHeaders) -> None:
        """An attempt: one that no cancel covers."""
        self.attempts[headers.task_id] = headers.attempt
        if self.cancelled.get(headers.task_id, 0) >= headers.attempt:
            self.wrong.append(f"sent although it is cancelled: {headers}")


@dataclass
class Run:
    """One run of a scenario: its waits are counted, and the invocation is cancelled at some of them."""

    test: HandlerTest
    cancelled_at: Collection[int]
    sent: Sent = field(default_factory=Sent)
    tasks: list[RunningTask[Any]] = field(default_factory=list[RunningTask[Any]])
    handles: list[TaskHandle[str]] = field(default_factory=list[TaskHandle[str]])
    awakeables: list[TaskAwakeable[str]] = field(default_factory=list[TaskAwakeable[str]])
    waits: int = 0
    seen: int = 0
    value: Any = None

    @property
    def unended(self) -> list[TaskId]:
        """Tasks whose workers must know if the handler ends now."""
        return [task.task_id for task in self.tasks if task.ended is None or isinstance(task.ended, TaskCancelled)]


Stage = Callable[[restate.Context, Run], Awaitable[Any]]
Trouble = Callable[[HandlerTest], None]
"""What goes wrong around the handler."""


@dataclass(frozen=True)
class Scenario:
    """What a handler does; its value is that of the last stage."""

    name: str
    stages: tuple[Stage, ...]
    trouble: Trouble = lambda _test: None


class Tries(CallTries):
    """Restate knows `TaskMonitor` until it does not."""

    is_known = True

    def begin(self, call: str) -> bool:
        """Whether it never succeeds."""
        del call
        return not self.is_known


async def caught(work: Awaitable[Any]) -> Any:
    """The value, or the error with which a task ends."""
    try:
        return await work
    except TaskError as error:
        return error


# What handlers do.


def start(task_type: TaskType[str, str]) -> Stage:
    """Start a task."""

    async def stage(ctx: restate.Context, run: Run) -> None:
        run.handles.append(await run.test.callbacks.start(ctx, task_type, "soup"))

    return stage


def start_many(task_type: TaskType[str, str]) -> Stage:
    """Start three tasks at once."""

    async def stage(ctx: restate.Context, run: Run) -> None:
        run.handles += await run.test.callbacks.start_many(ctx, task_type, ["a", "b", "c"])

    return stage


def call(task_type: TaskType[str, str]) -> Stage:
    """Have a task done."""

    async def stage(ctx: restate.Context, run: Run) -> Any:
        return await caught(run.test.callbacks.call(ctx, task_type, "soup"))

    return stage


async def results(_ctx: restate.Context, run: Run) -> list[Any]:
    """One after the other."""
    return [await caught(handle.result()) for handle in run.handles]


async def ends_before(ctx: restate.Context, run: Run) -> list[bool]:
    """A timer, one after the other."""
    return [await handle.ends_before(ctx.sleep(SECOND / 2)) for handle in run.handles]


async def cancel(_ctx: restate.Context, run: Run) -> None:
    """One after the other."""
    for handle in run.handles:
        await handle.cancel()


async def gather(_ctx: restate.Context, run: Run) -> Any:
    """All values, or the first error."""
    return await caught(run.test.callbacks.gather(run.handles))


async def gather_partial(_ctx: restate.Context, run: Run) -> Any:
    """All values and errors."""
    return await run.test.callbacks.gather(run.handles, partial=True)


async def first(_ctx: restate.Context, run: Run) -> Any:
    """Two values."""
    return await caught(run.test.callbacks.first(run.handles, 2))


async def progress(ctx: restate.Context, run: Run) -> list[int]:
    """Twice."""
    task_id = run.handles[0].task_id
    return [(await run.test.callbacks.progress(ctx, task_id)).attempt for _ in range(2)]


async def future(_ctx: restate.Context, run: Run) -> Any:
    """Restate's own future of a task or of an awakeable."""
    futures = [handle.future for handle in run.handles] + [each.future for each in run.awakeables]
    return await caught(futures[0])


async def awakeable(ctx: restate.Context, run: Run) -> None:
    """One that is completed a second later."""
    run.awakeables = [await run.test.callbacks.awakeable(ctx, PLAIN)]
    run.test.complete(run.awakeables[0].token, "B3", after=SECOND)


async def awakeable_result(_ctx: restate.Context, run: Run) -> str:
    """Its value."""
    return await run.awakeables[0].result()


async def remove_monitor(_ctx: restate.Context, _run: Run) -> None:
    """From Restate."""
    Tries.is_known = False


# What goes wrong around them.


def turn(server: MemoryBroker | SimulatedMonitor, *, on: bool) -> None:
    """On or off."""
    server.available = on


def no_kafka(test: HandlerTest, *, at: timedelta = timedelta(0)) -> None:
    """For six seconds."""
    test.after(at, partial(turn, test.broker, on=False))
    test.after(at + 6 * SECOND, partial(turn, test.broker, on=True))


def no_monitor(test: HandlerTest, *, at: timedelta = timedelta(0)) -> None:
    """For six seconds."""
    test.after(at, partial(turn, test.monitor, on=False))
    test.after(at + 6 * SECOND, partial(turn, test.monitor, on=True))


no_kafka_soon, no_monitor_soon = partial(no_kafka, at=SECOND / 2), partial(no_monitor, at=SECOND / 2)
TWICE = [
    Scenario("cancel", (start(PLAIN), cancel, results)),
    Scenario("result", (start(RETRIED), results)),
    Scenario("gather that fails", (start(RETRIED), start(FAILING), gather)),
]
SCENARIOS = [
    *TWICE,
    Scenario("call with retries", (call(RETRIED),)),
    Scenario("call that times out", (call(SILENT),)),
    Scenario("call with limited attempts", (call(LIMITED),)),
    Scenario("call without Kafka", (call(WATCHED),), no_kafka),
    Scenario("call without TaskMonitor", (call(WATCHED),), no_monitor),
    Scenario("result of a watched type", (start(WATCHED), results)),
    Scenario("result without Kafka for the retry", (start(LIMITED), results), no_kafka_soon),
    Scenario("result without TaskMonitor for the retry", (start(WATCHED), results), no_monitor_soon),
    Scenario("result where TaskMonitor is removed", (start(UNLUCKY), remove_monitor, results)),
    Scenario("results", (start(PLAIN), start(RETRIED), results)),
    Scenario("results that end before a timer, or not", (start(WATCHED), ends_before, ends_before, results)),
    Scenario("cancel of many", (start_many(WATCHED), cancel, results)),
    Scenario("gather", (start(PLAIN), start(LIMITED), gather)),
    Scenario("gather of many", (start_many(WATCHED), gather)),
    Scenario("gather of many without Kafka", (start_many(LIMITED), gather), no_kafka),
    Scenario("gather of many without Kafka for their retries", (start_many(RETRIED), gather), no_kafka_soon),
    Scenario("partial gather", (start(WATCHED), start(SILENT), gather_partial)),
    Scenario("partial gather one by one", (start_many(PLAIN), gather_partial)),
    Scenario("first", (start(PLAIN), start(FAILING), start(RETRIED), first)),
    Scenario("first of many", (start_many(RETRIED), first)),
    Scenario("first that fails", (start_many(FAILING), first)),
    Scenario("progress", (start(WATCHED), progress, results)),
    Scenario("future", (start(PLAIN), future)),
    Scenario("future and result", (start(PLAIN), future, results)),
    Scenario("future of an awakeable", (awakeable, future)),
    Scenario("awakeable", (awakeable, awakeable_result)),
]
LOST_TASKS = Scenario("gather of lost tasks", (start_many(LOST), gather_partial))


def script(test: HandlerTest) -> None:
    """What workers answer: values do not depend on which attempt it is."""
    test.worker.on(PLAIN).completes("B3", after=SECOND)
    test.worker.on(SILENT).never_answers()
    test.worker.on(FAILING).fails(BAD, after=SECOND)
    test.worker.on(RETRIED).fails(BROKEN, after=SECOND).completes("B4", after=SECOND)
    test.worker.on(LIMITED).never_answers().completes("B5", after=SECOND)
    test.worker.on(WATCHED).fails(BROKEN, after=SECOND).completes("B6", after=SECOND)
    test.worker.on(UNLUCKY).fails(BROKEN, after=SECOND)
    test.worker.on(LOST).is_lost(after=SECOND)
