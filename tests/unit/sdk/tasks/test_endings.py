"""How tasks end: never after their deadline, with the true cause, and the workers told what they must know, once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import restate

from kallback.protocol import RetryPolicy, TaskType
from kallback.sdk import TaskCancelled, TaskError, TaskFailed, TaskHandle, TaskNotSent, TaskTimedOut
from kallback.testing import HandlerTest
from kallback.workers import TaskFailure

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
LIMIT = timedelta(seconds=5)
AT_ONCE = RetryPolicy(attempts=3, first_delay=timedelta(0))
PREPARE = TaskType("prepare", request=str, result=str, timeout=LIMIT)
RETRIED = TaskType("retried", request=str, result=str, timeout=LIMIT, retry=AT_ONCE)
WATCHED = TaskType("watched", request=str, result=str, timeout=LIMIT, heartbeat_every=SECOND)
BOTH = TaskType("both", request=str, result=str, timeout=LIMIT, heartbeat_every=SECOND, retry=AT_ONCE)
BROKEN = TaskFailure("OvenBroken", "no gas", retryable=True)
NO_BASIL = TaskFailure("OutOfStock", "no basil", retryable=False)


@pytest.fixture(name="test")
async def started_test() -> AsyncIterator[HandlerTest]:
    """One that is started."""
    async with HandlerTest() as started:
        yield started


async def call(ctx: restate.Context, test: HandlerTest, task_type: TaskType[str, str]) -> str:
    """A handler with one task."""
    return await test.callbacks.call(ctx, task_type, "soup")


async def caught(work: Awaitable[Any]) -> TaskError:
    """The error with which a task ends."""
    try:
        value = await work
    except TaskError as error:
        return error
    raise AssertionError(f"no error, but {value!r}")


def reasons(test: HandlerTest) -> list[str]:
    """Why the workers were told to stop, in order."""
    return [str(each.reason) for each in test.cancels]


async def test_many_tasks_do_not_wait_for_an_absent_monitor_after_their_deadline(test: HandlerTest) -> None:
    """Each handle has the error of a single call; nothing was published, so no worker must know."""
    test.worker.on(WATCHED).completes("B3")
    test.monitor.available = False

    async def handler(ctx: restate.Context) -> list[TaskError]:
        handles = await test.callbacks.start_many(ctx, WATCHED, ["a", "b", "c"])
        return [await caught(handle.result()) for handle in handles]

    errors = await test.run(handler)
    assert [type(error) for error in errors] == [TaskNotSent] * 3
    assert "TaskMonitor did not answer" in errors[0].message
    assert (test.elapsed, reasons(test)) == (LIMIT, [])


async def test_a_retry_does_not_wait_for_an_absent_monitor_after_the_deadline(test: HandlerTest) -> None:
    """The error names the monitor and the failure before it, and the workers are told."""
    test.worker.on(BOTH).fails(BROKEN, after=SECOND)
    test.after(SECOND / 2, lambda: setattr(test.monitor, "available", False))

    error = await test.run(lambda ctx: caught(call(ctx, test, BOTH)))

    assert isinstance(error, TaskNotSent)
    assert "TaskMonitor did not answer" in error.message
    assert "attempt 1 failed: no gas" in error.message
    assert (error.attempt, test.elapsed, reasons(test)) == (2, LIMIT, ["timed-out"])


async def test_a_lost_attempt_without_retries_is_told_when_results_are_gathered_one_by_one(test: HandlerTest) -> None:
    """Its worker may only be slow, and does not know that the task has failed."""
    test.worker.on(WATCHED).is_lost(after=SECOND).completes("B3", after=2 * SECOND)

    async def handler(ctx: restate.Context) -> list[Any]:
        handles = await test.callbacks.start_many(ctx, WATCHED, ["a", "b"])
        return await test.callbacks.gather(handles, partial=True)

    lost, done = await test.run(handler)
    assert (lost.type, done, reasons(test)) == ("urn:kallback:heartbeat-lost", "B3", ["timed-out"])


@pytest.mark.parametrize("delay", [timedelta(0), SECOND])
async def test_no_time_for_a_retry_is_a_timeout_that_names_the_failure(test: HandlerTest, delay: timedelta) -> None:
    """Kafka is well: it is not blamed, whether or not there would have been a delay."""
    retried = TaskType("retried", str, str, timeout=LIMIT, retry=RetryPolicy(attempts=3, first_delay=delay))
    test.worker.on(retried).fails(BROKEN, after=SECOND)

    async def handler(ctx: restate.Context) -> TaskError:
        handle = await test.callbacks.start(ctx, retried, "soup")
        await ctx.sleep(2 * LIMIT)
        return await caught(handle.result())

    error = await test.run(handler)
    assert isinstance(error, TaskTimedOut)
    assert error.message.endswith("attempt 1 failed: no gas")
    assert reasons(test) == ["timed-out"]


async def test_a_result_that_is_there_survives_its_cancellation(test: HandlerTest) -> None:
    """The work is done, so there is nothing to tell."""
    test.worker.on(PREPARE).completes("B3", after=SECOND)

    async def handler(ctx: restate.Context) -> str:
        handle = await test.callbacks.start(ctx, PREPARE, "soup")
        await restate.wait_completed(handle.future)
        await handle.cancel()
        return await handle.result()

    assert await test.run(handler) == "B3"
    assert reasons(test) == []


async def test_a_result_that_came_before_the_cancel_was_out_counts(test: HandlerTest) -> None:
    """The handler had not seen it yet."""
    test.worker.on(PREPARE).completes("B3", after=SECOND)

    async def handler(ctx: restate.Context) -> str:
        handle = await test.callbacks.start(ctx, PREPARE, "soup")
        await ctx.sleep(2 * SECOND)
        await handle.cancel()
        return await handle.result()

    assert await test.run(handler) == "B3"


@pytest.mark.parametrize(("failure", "error"), [(BROKEN, TaskCancelled), (NO_BASIL, TaskFailed)])
async def test_a_failure_that_is_there_survives_its_cancellation_if_it_is_the_last(
    test: HandlerTest, failure: TaskFailure, error: type[TaskError]
) -> None:
    """A cancelled task is not retried, and what another attempt would have mended is not how it ended."""
    test.worker.on(RETRIED).fails(failure, after=SECOND)

    async def handler(ctx: restate.Context) -> TaskError:
        handle = await test.callbacks.start(ctx, RETRIED, "soup")
        await restate.wait_completed(handle.future)
        await handle.cancel()
        return await caught(handle.result())

    assert type(await test.run(handler)) is error


@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancelled_task_stays_cancelled_and_is_told_once(test: HandlerTest, times: int) -> None:
    """However often the handler asks for it."""
    test.worker.on(PREPARE).completes("B3", after=2 * SECOND)

    async def handler(ctx: restate.Context) -> TaskError:
        handle = await test.callbacks.start(ctx, PREPARE, "soup")
        for _ in range(times):
            await handle.cancel()
        await restate.wait_completed(handle.future)
        return await caught(handle.result())

    assert isinstance(await test.run(handler), TaskCancelled)
    assert reasons(test) == ["cancelled"]


async def test_a_value_survives_a_later_cancellation(test: HandlerTest) -> None:
    """The result was taken already."""
    test.worker.on(PREPARE).completes("B3")

    async def handler(ctx: restate.Context) -> str:
        handle = await test.callbacks.start(ctx, PREPARE, "soup")
        await handle.result()
        await handle.cancel()
        return await handle.result()

    assert await test.run(handler) == "B3"
    assert reasons(test) == []


async def test_a_handler_that_waits_again_after_its_cancellation_tells_the_workers_once(test: HandlerTest) -> None:
    """They know since the first 409."""
    test.worker.on(PREPARE).never_answers()

    async def handler(ctx: restate.Context) -> TaskError:
        handle = await test.callbacks.start(ctx, PREPARE, "soup")
        try:
            await handle.result()
        except restate.TerminalError:
            return await caught(handle.result())
        raise AssertionError

    assert isinstance(await test.run(handler, cancel_after=SECOND), TaskTimedOut)
    assert reasons(test) == ["cancelled"]


async def test_the_first_of_one_handle_twice_is_refused(test: HandlerTest) -> None:
    """It could never bring two results, and cancelled the task before."""
    test.worker.on(PREPARE).completes("B3")

    async def handler(ctx: restate.Context) -> list[Any]:
        handle = await test.callbacks.start(ctx, PREPARE, "soup")
        try:
            await test.callbacks.first([handle, handle], 2)
        except restate.TerminalError as error:
            return [error.status_code, error.message, await handle.result()]
        return []

    code, message, value = await test.run(handler)
    assert (code, value, reasons(test)) == (400, "B3", [])
    assert "same handle twice" in message


@pytest.mark.parametrize("partial", [False, True])
async def test_the_results_of_one_handle_twice_are_the_same(test: HandlerTest, partial: bool) -> None:  # noqa: FBT001
    """Gathering cancels nothing, so it does no harm."""
    test.worker.on(PREPARE).completes("B3", after=SECOND)

    async def handler(ctx: restate.Context) -> list[Any]:
        handle: TaskHandle[str] = await test.callbacks.start(ctx, PREPARE, "soup")
        gather: Callable[..., Awaitable[list[Any]]] = test.callbacks.gather
        return await gather([handle, handle], partial=partial)

    assert await test.run(handler) == ["B3", "B3"]


async def test_a_timeout_names_the_attempt_that_was_under_way(test: HandlerTest) -> None:
    """Beside the failure of the one before it, which is not why the time was up."""
    retried = TaskType("retried", str, str, timeout=LIMIT, retry=RetryPolicy(attempts=2, first_delay=timedelta(0)))
    test.worker.on(retried).fails(BROKEN, after=SECOND).never_answers()

    error = await test.run(lambda ctx: caught(call(ctx, test, retried)))

    assert error.attempt == 2
    assert "(attempt 2 of task " in error.message
    assert error.message.endswith("attempt 1 failed: no gas")
