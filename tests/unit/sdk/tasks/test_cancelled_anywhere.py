"""The invocation's cancellation (Restate's 409) at each wait of each call of `Callbacks`.

Each scenario runs undisturbed first, which counts its waits, and once more for each of them, with a 409 there. One
handler then cancels what it has handles of, and ends; another one does the same call again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import pytest
import restate
from restate.vm import DoProgressResult, UnresolvedFuture
from tests.unit.sdk.tasks.scenarios import (
    LOST_TASKS,
    SCENARIOS,
    TWICE,
    Run,
    Scenario,
    Stage,
    Tries,
    cancel,
    first,
    gather,
    gather_partial,
    results,
    script,
)

from kallback.kafka import OutgoingRecord, Position
from kallback.protocol import Cancel, TaskHeaders, TaskId
from kallback.sdk import TaskError
from kallback.sdk.monitoring import unknown_service
from kallback.sdk.tasks.running_task import RunningTask
from kallback.testing import HandlerTest
from kallback.testing.in_memory.restate import InMemoryRestate

REAL_LIMIT_S = 10  # of a run that takes milliseconds


class Cancellations:
    """Counts the waits of the current run, and cancels."""

    def __init__(self) -> None:
        self.run: Run | None = None

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Between the SDK and the in-memory Restate."""
        do_progress, init = InMemoryRestate.do_progress, RunningTask.__init__

        def counted(machine: InMemoryRestate, unresolved: UnresolvedFuture) -> DoProgressResult:
            if self.run is not None:
                self.run.waits += 1
                if self.run.waits in self.run.cancelled_at:
                    machine.cancel()
            return do_progress(machine, unresolved)

        def remembered(task: RunningTask[Any], *arguments: Any) -> None:
            init(task, *arguments)
            if self.run is not None:
                self.run.tasks.append(task)

        patch.setattr(InMemoryRestate, "do_progress", counted)
        patch.setattr(RunningTask, "__init__", remembered)


@pytest.fixture(name="cancellations")
def installed(monkeypatch: pytest.MonkeyPatch) -> Cancellations:
    """None yet."""
    made = Cancellations()
    made.install(monkeypatch)
    monkeypatch.setattr(unknown_service, "_tries", Tries())
    return made


def outcome(value: Any) -> Any:
    """Something to compare: errors have no equality, and name their task."""
    if isinstance(value, list):
        return list(map(outcome, value))
    return f"{type(value).__name__} {value.type}" if isinstance(value, TaskError) else value


def record_sent(run: Run, patch: pytest.MonkeyPatch) -> None:
    """Have a run see what it sends, also while Kafka is unavailable."""
    append = run.test.broker.append

    def recorded(record: OutgoingRecord) -> Position:
        if record.topic == "kallback.control":
            run.sent.cancel(Cancel.decode(record.value))
        elif not record.topic.startswith("kallback."):
            run.sent.task(TaskHeaders.decode(record.headers))
        return append(record)

    patch.setattr(run.test.broker, "append", recorded)


def told_by(run: Run, stage: Stage) -> list[TaskId]:
    """Tasks whose workers are told when this stage is cancelled: it waits for them, or they have no handle yet."""
    is_for_all = stage in {gather, gather_partial, first} or (stage in {results, cancel} and len(run.handles) == 1)
    others = [] if is_for_all else [handle.task_id for handle in run.handles]
    return [task_id for task_id in run.unended if task_id not in others]


async def is_cancelled(ctx: restate.Context, run: Run, stage: Stage) -> bool:
    """Go through a stage; whether a 409 ended it."""
    try:
        run.value = await stage(ctx, run)
    except restate.TerminalError as error:
        if (type(error), error.status_code) != (restate.TerminalError, 409):
            raise
        run.seen += 1
        assert run.seen <= len(run.cancelled_at), "a 409 that was seen comes again"
        return True
    return False


async def persistent(ctx: restate.Context, scenario: Scenario, run: Run) -> Any:
    """A handler that does what was cancelled again."""
    for stage in scenario.stages:
        while await is_cancelled(ctx, run, stage):
            run.sent.owe(told_by(run, stage))
    return run.value


async def obedient(ctx: restate.Context, scenario: Scenario, run: Run) -> Any:
    """A handler that cancels its tasks, and ends."""
    for stage in scenario.stages:
        if await is_cancelled(ctx, run, stage):
            await cancel(ctx, run)
            run.sent.owe(run.unended)
            return "cancelled"
    return run.value


async def played(
    scenario: Scenario,
    cancellations: Cancellations,
    cancelled_at: Collection[int] = (),
    handler: Callable[[restate.Context, Scenario, Run], Awaitable[Any]] = persistent,
) -> tuple[Run, Any]:
    """One run of a scenario, and its outcome: a value, or the text of an error."""
    Tries.is_known = True
    with pytest.MonkeyPatch.context() as patch:
        async with HandlerTest() as test:
            run = cancellations.run = Run(test, cancelled_at)
            script(test)
            record_sent(run, patch)
            scenario.trouble(test)
            try:
                async with asyncio.timeout(REAL_LIMIT_S):
                    return run, outcome(await test.run(handler, scenario, run))
            except restate.TerminalError as error:
                return run, error.message


@pytest.mark.parametrize("scenario", [*SCENARIOS, LOST_TASKS], ids=lambda scenario: scenario.name)
async def test_the_handler_sees_it_and_the_workers_are_told(scenario: Scenario, cancellations: Cancellations) -> None:
    """Each task that was sent and had not ended is cancelled, once."""
    undisturbed, _ = await played(scenario, cancellations)
    for wait in range(1, undisturbed.waits + 1):
        run, ended = await played(scenario, cancellations, [wait], obedient)
        assert (wait, run.seen, ended, run.sent.untold, run.sent.wrong) == (wait, 1, "cancelled", [], [])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_handler_may_do_it_again(scenario: Scenario, cancellations: Cancellations) -> None:
    """Then it ends as if nothing had happened, and what it sends from then on is not cancelled."""
    undisturbed, expected = await played(scenario, cancellations)
    for wait in range(1, undisturbed.waits + 1):
        run, ended = await played(scenario, cancellations, [wait])
        assert (wait, run.seen, ended, run.sent.untold, run.sent.wrong) == (wait, 1, expected, [], [])


@pytest.mark.parametrize("scenario", TWICE, ids=lambda scenario: scenario.name)
async def test_the_workers_are_told_although_the_step_that_tells_them_is_cancelled_too(
    scenario: Scenario, cancellations: Cancellations
) -> None:
    """The next wait for their tasks goes on with it; a call that was to return a handle leaves none to wait for."""
    undisturbed, expected = await played(scenario, cancellations)
    for wait in range(1, undisturbed.waits + 1):
        run, ended = await played(scenario, cancellations, [wait, wait + 1])
        untold = [handle.task_id for handle in run.handles if handle.task_id in run.sent.untold]
        assert (wait, ended, untold, run.sent.wrong) == (wait, expected, [], [])
