"""`handle.ends_before`: a task beside something else that is waited for, retries included."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import pytest
import restate
from restate import TerminalError

from kallback.protocol import CancelReason, RetryPolicy, TaskType
from kallback.sdk import TaskCancelled, TaskFailed, TaskTimedOut
from kallback.testing import HandlerTest
from kallback.workers import TaskFailure

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
PREPARE = TaskType("prepare", request=str, result=str, timeout=HOUR)
RETRIED = TaskType("retried", request=str, result=str, timeout=HOUR, retry=RetryPolicy(attempts=3, first_delay=SECOND))
BROKEN = TaskFailure("OvenBroken", "no gas", retryable=True)
NO_GAS = TaskFailure("NoGas", "no gas", retryable=False)


@pytest.fixture(name="test")
async def started_test() -> AsyncIterator[HandlerTest]:
    """One that is started."""
    async with HandlerTest() as started:
        yield started


def stoppable(test: HandlerTest, task_type: TaskType[str, str] = PREPARE) -> Any:
    """A handler that a signal stops."""

    async def handler(ctx: restate.WorkflowContext) -> str:
        handle = await test.callbacks.start(ctx, task_type, "soup")
        if not await handle.ends_before(ctx.promise("stop", type_hint=str).value()):
            await handle.cancel()
            return f"stopped: {await ctx.promise('stop', type_hint=str)}"
        return await handle.result()

    return handler


async def test_a_signal_stops_a_task(test: HandlerTest) -> None:
    """Its workers are told, and nothing is waited for any more."""
    test.worker.on(PREPARE).never_answers()
    test.resolve_promise("stop", "no guests", after=2 * SECOND)

    assert await test.run(stoppable(test)) == "stopped: no guests"
    assert test.elapsed == 2 * SECOND
    assert [cancel.reason for cancel in test.cancels] == [CancelReason.CANCELLED]


@pytest.mark.parametrize("seconds", [1, 2.5])
async def test_a_signal_stops_a_task_between_and_in_later_attempts(test: HandlerTest, seconds: float) -> None:
    """During the delay before the next attempt as well."""
    kitchen = test.worker.on(RETRIED).fails(BROKEN, after=SECOND / 2).never_answers()
    test.resolve_promise("stop", "no guests", after=seconds * SECOND)

    assert await test.run(stoppable(test, RETRIED)) == "stopped: no guests"
    assert len(kitchen.tasks) == (1 if seconds == 1 else 2)


async def test_retries_go_on_while_no_signal_comes(test: HandlerTest) -> None:
    """The result is that of the last attempt."""
    test.worker.on(RETRIED).fails(BROKEN, after=SECOND, times=2).completes("B3")

    assert await test.run(stoppable(test, RETRIED)) == "B3"
    assert test.cancels == []


async def test_a_result_counts_beside_a_completed_future(test: HandlerTest) -> None:
    """Work that is done is not thrown away."""
    test.worker.on(PREPARE).completes("B3", after=2 * SECOND)

    async def handler(ctx: restate.Context) -> list[Any]:
        handle, timer = await test.callbacks.start(ctx, PREPARE, "soup"), ctx.sleep(SECOND)
        await ctx.sleep(3 * SECOND)
        return [await handle.ends_before(timer), await handle.result()]

    assert await test.run(handler) == [True, "B3"]


async def test_an_error_of_either_is_not_raised_by_the_wait(test: HandlerTest) -> None:
    """But by `result`, and by the other future."""
    test.worker.on(PREPARE).fails(TaskFailure("OutOfStock", "no basil"), after=SECOND)

    async def handler(ctx: restate.WorkflowContext) -> list[Any]:
        refused = ctx.promise("refused", type_hint=str)
        await refused.reject("closed", 503)
        handle = await test.callbacks.start(ctx, PREPARE, "soup")
        first = await handle.ends_before(refused.value())
        second = await handle.ends_before(ctx.promise("other").value())
        try:
            await handle.result()
        except TerminalError as error:
            return [first, second, error.message]
        raise AssertionError

    ended, ended_later, message = await test.run(handler)
    assert (ended, ended_later) == (False, True)
    assert "no basil" in message


async def test_a_task_that_has_ended_is_not_waited_for(test: HandlerTest) -> None:
    """Nor is the future."""
    test.worker.on(PREPARE).never_answers()

    async def handler(ctx: restate.WorkflowContext) -> bool:
        handle = await test.callbacks.start(ctx, PREPARE, "soup")
        await handle.cancel()
        ended = await handle.ends_before(ctx.promise("stop").value())
        with pytest.raises(TaskCancelled):
            await handle.result()
        return ended

    assert await test.run(handler) is True


async def test_a_cancelled_invocation_tells_the_workers(test: HandlerTest) -> None:
    """As `result` does."""
    test.worker.on(PREPARE).never_answers()
    with pytest.raises(TerminalError, match="cancelled"):
        await test.run(stoppable(test), cancel_after=SECOND)
    assert [cancel.reason for cancel in test.cancels] == [CancelReason.CANCELLED]


@pytest.mark.parametrize(("make", "said"), [(lambda ctx: ctx.promise("stop"), "value()"), (lambda _: 5, "not int")])
async def test_what_is_no_future_is_refused(test: HandlerTest, make: Any, said: str) -> None:
    """With what to write."""
    test.worker.on(PREPARE).never_answers()

    async def handler(ctx: restate.WorkflowContext) -> None:
        handle = await test.callbacks.start(ctx, PREPARE, "soup")
        await handle.ends_before(cast("Any", make(ctx)))

    with pytest.raises(TerminalError, match=said.replace("()", r"\(\)")) as raised:
        await test.run(handler)
    assert raised.value.status_code == 400


@pytest.mark.parametrize(("stop_after", "said"), [(1, ["cancelled", "cancelled"]), (2.5, ["B3", "cancelled"])])
async def test_a_signal_stops_a_group(test: HandlerTest, stop_after: float, said: list[str]) -> None:
    """Results that are there are kept; retries of each go on until then."""
    test.worker.on(RETRIED).fails(BROKEN, after=SECOND / 2).completes("B3", after=SECOND / 2).never_answers()
    test.worker.on(PREPARE).never_answers()
    test.resolve_promise("stop", "no guests", after=stop_after * SECOND)

    async def handler(ctx: restate.WorkflowContext) -> list[str]:
        handles = [await test.callbacks.start(ctx, each, "soup") for each in (RETRIED, PREPARE)]
        assert not await test.callbacks.all_end_before(handles, ctx.promise("stop").value())
        for handle in handles:
            await handle.cancel()
        ended = await test.callbacks.gather(handles, partial=True)
        return ["cancelled" if isinstance(each, TaskCancelled) else str(each) for each in ended]

    assert await test.run(handler) == said


@pytest.mark.parametrize("fails", [False, True])
async def test_a_group_that_ends_first_is_not_stopped(test: HandlerTest, *, fails: bool) -> None:
    """A failed task has ended, too."""
    answers = test.worker.on(PREPARE).completes("B3", after=SECOND)
    (answers.fails(TaskFailure("NoGas", "no gas"), after=2 * SECOND) if fails else answers.completes("B4"))

    async def handler(ctx: restate.Context) -> bool:
        handles = await test.callbacks.start_many(ctx, PREPARE, ["soup", "cake"])
        return await test.callbacks.all_end_before(handles, ctx.sleep(HOUR / 2))

    assert await test.run(handler) is True


def failing_fast(test: HandlerTest) -> Any:
    """A handler that a signal stops, and the first failure."""

    async def handler(ctx: restate.WorkflowContext) -> str:
        handles = [await test.callbacks.start(ctx, each, "soup") for each in (RETRIED, PREPARE)]
        if await test.callbacks.all_end_before(handles, ctx.promise("stop").value(), or_one_fails=True):
            return " ".join(await test.callbacks.gather(handles))
        return "stopped"

    return handler


@pytest.mark.parametrize("stop_after", [None, 9 * SECOND])
async def test_the_first_failure_ends_the_wait_for_a_group(test: HandlerTest, stop_after: timedelta | None) -> None:
    """`gather` raises it at once, not after the longest task, and tells the workers of the others."""
    test.worker.on(RETRIED).fails(NO_GAS, after=2 * SECOND)
    cake = test.worker.on(PREPARE).never_answers()
    if stop_after is not None:
        test.resolve_promise("stop", after=stop_after)

    with pytest.raises(TaskFailed, match="no gas"):
        await test.run(failing_fast(test))
    assert test.elapsed == 2 * SECOND
    assert [cancel.task_id for cancel in test.cancels] == [task.headers.task_id for task in cake.tasks]


async def test_an_attempt_that_is_repeated_is_no_failure_of_the_group(test: HandlerTest) -> None:
    """Its retries are sent meanwhile, and a group without a failure ends with all results."""
    kitchen = test.worker.on(RETRIED).fails(BROKEN, after=SECOND).completes("B3", after=SECOND)
    test.worker.on(PREPARE).completes("B4", after=5 * SECOND)

    assert await test.run(failing_fast(test)) == "B3 B4"
    assert len(kitchen.tasks) == 2


async def test_a_signal_stops_a_group_before_its_first_failure(test: HandlerTest) -> None:
    """The signal came first."""
    test.worker.on(RETRIED).fails(NO_GAS, after=3 * SECOND)
    test.worker.on(PREPARE).never_answers()
    test.resolve_promise("stop", after=2 * SECOND)

    assert await test.run(failing_fast(test)) == "stopped"
    assert test.elapsed == 2 * SECOND


async def test_a_task_that_failed_before_ends_the_wait_at_once(test: HandlerTest) -> None:
    """It was looked at with `result()` already."""
    test.worker.on(RETRIED).fails(NO_GAS)
    test.worker.on(PREPARE).never_answers()

    async def handler(ctx: restate.Context) -> bool:
        first = await test.callbacks.start(ctx, RETRIED, "soup")
        with pytest.raises(TaskFailed):
            await first.result()
        handles = [first, await test.callbacks.start(ctx, PREPARE, "soup")]
        return await test.callbacks.all_end_before(handles, ctx.sleep(HOUR / 2), or_one_fails=True)

    assert await test.run(handler) is True
    assert test.elapsed == timedelta(0)


@pytest.mark.parametrize(("answered_after", "said"), [(1, "yes"), (3, "withdrawn"), (None, "timed out")])
async def test_an_awakeable_beside_a_timer(test: HandlerTest, answered_after: int | None, said: str) -> None:
    """Its own deadline ends it, too."""

    async def handler(ctx: restate.Context) -> str:
        timeout = SECOND if answered_after is None else HOUR
        waiting = await test.callbacks.awakeable(ctx, PREPARE, timeout=timeout)
        if answered_after is not None:
            test.complete(waiting.token, "yes", after=answered_after * SECOND)
        if not await waiting.ends_before(ctx.sleep(2 * SECOND)):
            return "withdrawn"
        try:
            return await waiting.result()
        except TaskTimedOut:
            return "timed out"

    assert await test.run(handler) == said


async def test_a_group_and_an_awakeable_wait_for_durable_futures_only(test: HandlerTest) -> None:
    """A terminal error names the argument."""

    async def group(_ctx: restate.Context) -> bool:
        return await test.callbacks.all_end_before([], cast("Any", 7))

    async def awakeable(ctx: restate.Context) -> bool:
        return await (await test.callbacks.awakeable(ctx, PREPARE)).ends_before(cast("Any", 7))

    for handler in (group, awakeable):
        with pytest.raises(TerminalError, match="future must be a durable future"):
            await test.run(handler)
