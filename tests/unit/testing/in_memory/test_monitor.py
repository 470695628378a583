"""`HandlerTest` with a `TaskMonitor` that answers, that does not, and with awakeable ids that come again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import restate

from kallback.protocol import ConfigurationError, RetryPolicy, TaskType
from kallback.sdk import MonitorUnavailable, TaskFailed, TaskNotSent, UnknownTask
from kallback.testing import HandlerTest
from kallback.workers import TaskContext, TaskFailure, Worker

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
RETRY = RetryPolicy(attempts=3, first_delay=SECOND)
RENDER = TaskType("render", request=str, result=str, timeout=HOUR, heartbeat_every=SECOND, retry=RETRY)
PREPARE = TaskType("prepare", request=str, result=str, timeout=HOUR)


@pytest.fixture(name="test")
async def started_test() -> AsyncIterator[HandlerTest]:
    """One that is started."""
    async with HandlerTest() as started:
        yield started


async def call(ctx: restate.Context, test: HandlerTest, task_type: TaskType[str, str]) -> str:
    """A handler with one task."""
    return await test.callbacks.call(ctx, task_type, "clip")


async def test_while_it_is_absent_nothing_is_sent(test: HandlerTest) -> None:
    """The deadline ends the wait, and the error names what is missing."""
    render = test.worker.on(RENDER).completes("done")
    test.monitor.available = False

    with pytest.raises(TaskNotSent, match="TaskMonitor did not answer"):
        await test.run(call, test, RENDER)

    assert (test.elapsed, render.tasks) == (HOUR, [])


async def test_it_may_come_back(test: HandlerTest) -> None:
    """Calls that waited are answered then."""
    test.worker.on(RENDER).completes("done")
    test.monitor.available = False
    test.after(MINUTE, lambda: setattr(test.monitor, "available", True))

    assert await test.run(call, test, RENDER) == "done"
    assert test.elapsed == MINUTE


async def test_a_lost_attempt_is_followed_by_the_next_one(test: HandlerTest) -> None:
    """The script says when it is lost; the policy's delay of a second has passed in the silence before."""
    render = test.worker.on(RENDER).is_lost(after=MINUTE).completes("done")

    assert await test.run(call, test, RENDER) == "done"
    assert [each.headers.attempt for each in render.tasks] == [1, 2]
    assert test.elapsed == MINUTE


async def test_the_last_lost_attempt_is_the_tasks_failure(test: HandlerTest) -> None:
    """As in production."""
    test.worker.on(RENDER).is_lost()

    with pytest.raises(TaskFailed, match="no heartbeat") as caught:
        await test.run(call, test, RENDER)

    assert (caught.value.type, caught.value.attempt) == ("urn:kallback:heartbeat-lost", 3)


async def test_a_type_without_heartbeats_is_never_lost(test: HandlerTest) -> None:
    """The script says so where it is written."""
    with pytest.raises(ConfigurationError, match="heartbeat_every"):
        test.worker.on(PREPARE).is_lost()


async def test_the_next_attempt_gets_the_details_of_the_one_before(test: HandlerTest) -> None:
    """What a real worker function reported."""
    worker, seen = Worker("studio"), list[object]()

    @worker.task(RENDER)
    def render(_clip: str, task: TaskContext) -> str:
        seen.append(task.last_details)
        task.heartbeat({"frame": task.attempt})
        if task.attempt < 3:
            raise TaskFailure("OutOfMemory", retryable=True)
        return "done"

    test.worker.on(RENDER).runs(worker)

    assert await test.run(call, test, RENDER) == "done"
    assert seen == [None, {"frame": 1}, {"frame": 2}]


async def test_a_failure_says_where_the_next_attempt_goes_on(test: HandlerTest) -> None:
    """In a script, too; the handler does not see the details."""
    failure = TaskFailure("OutOfMemory", last_details='{"frame":7}', shelf=3)
    render = test.worker.on(RENDER).fails(failure)

    with pytest.raises(TaskFailed) as caught:
        await test.run(call, test, RENDER)

    assert [each.headers.last_details for each in render.tasks] == [b"", b'{"frame":7}', b'{"frame":7}']
    assert caught.value.problem.extensions == {"shelf": 3}


async def test_progress_can_be_asked_for(test: HandlerTest) -> None:
    """While the task runs, and not when it has ended."""
    test.worker.on(RENDER).completes("done", after=MINUTE)

    async def handler(ctx: restate.Context) -> list[object]:
        handle = await test.callbacks.start(ctx, RENDER, "clip")
        await ctx.sleep(SECOND)
        running = await test.callbacks.progress(ctx, handle.task_id)
        await handle.result()
        try:
            await test.callbacks.progress(ctx, handle.task_id)
        except UnknownTask as error:
            return [running.attempt, running.started is not None, error.status_code]
        return []

    assert await test.run(handler) == [1, True, 404]


async def test_the_details_of_a_script_are_read_while_the_attempt_runs(test: HandlerTest) -> None:
    """Each from its time on, as a handler that reports progress reads them."""
    render = test.worker.on(RENDER).sends_heartbeat({"frame": 1}).sends_heartbeat({"frame": 73}, after=MINUTE)
    render.completes("done", after=2 * MINUTE)

    async def handler(ctx: restate.Context) -> list[object]:
        handle = await test.callbacks.start(ctx, RENDER, "clip")
        seen = list[object]()
        for _ in range(2):
            await ctx.sleep(45 * SECOND)
            seen.append((await test.callbacks.progress(ctx, handle.task_id)).details)
        return [*seen, await handle.result()]

    assert await test.run(handler) == [{"frame": 1}, {"frame": 73}, "done"]


async def test_the_attempt_after_a_lost_one_goes_on_from_the_details_of_the_script(test: HandlerTest) -> None:
    """And those of the attempt after that, which sends none of its own."""
    render = test.worker.on(RENDER).sends_heartbeat({"frame": 73}).is_lost(after=MINUTE).is_lost().completes("done")

    assert await test.run(call, test, RENDER) == "done"
    assert [each.headers.last_details for each in render.tasks] == [b"", b'{"frame":73}', b'{"frame":73}']


async def test_a_heartbeat_needs_a_type_that_has_them_and_an_answer_behind_it(test: HandlerTest) -> None:
    """The script says so where it is written, or when its task comes."""
    with pytest.raises(ConfigurationError, match="heartbeat_every"):
        test.worker.on(PREPARE).sends_heartbeat()
    test.worker.on(RENDER).completes("done").sends_heartbeat({"frame": 1})
    with pytest.raises(ConfigurationError, match="no answer behind"):
        await test.run(call, test, RENDER)


async def test_a_result_of_the_run_before_is_stale(test: HandlerTest) -> None:
    """Restate gives a purged workflow the same awakeable ids again; the task is published once more."""
    prepare = test.worker.on(PREPARE).completes("of the first run", after=10 * MINUTE).completes("B3", after=HOUR / 2)
    with pytest.raises(restate.TerminalError):
        await test.run(call, test, PREPARE, cancel_after=MINUTE)

    assert await test.run(call, test, PREPARE, repeat_awakeable_ids=True) == "B3"
    assert [each.headers.attempt for each in prepare.tasks] == [1, 1, 2]


async def test_without_it_every_run_has_ids_of_its_own(test: HandlerTest) -> None:
    """A late result of the run before changes nothing."""
    prepare = test.worker.on(PREPARE).completes("of the first run", after=10 * MINUTE).completes("B3", after=HOUR / 2)
    with pytest.raises(restate.TerminalError):
        await test.run(call, test, PREPARE, cancel_after=MINUTE)

    assert await test.run(call, test, PREPARE) == "B3"
    assert [each.headers.attempt for each in prepare.tasks] == [1, 1]


async def test_an_absent_monitor_ends_the_wait_for_progress(test: HandlerTest) -> None:
    """After ten seconds, or the time that the handler gives; the error names the remedy."""
    test.monitor.available = False

    async def status(ctx: restate.Context) -> list[str]:
        errors = list[str]()
        for options in ({}, {"timeout": MINUTE}):
            try:
                await test.callbacks.progress(ctx, "A" * 16, **options)
            except MonitorUnavailable as error:
                errors.append(f"{error.status_code} {error.message}")
        return errors

    errors = await test.run(status)

    assert [error.split(":")[0][-12:] for error in errors] == [" within 10 s", " within 60 s"]
    assert all("callbacks.app([...])" in error for error in errors)
    assert test.elapsed == 10 * SECOND + MINUTE
