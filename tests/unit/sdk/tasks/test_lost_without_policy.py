"""A lost attempt whose type has no retry policy fails the task, and its error names the policy."""

from __future__ import annotations

from datetime import timedelta

import pytest
import restate

from kallback.protocol import HEARTBEAT_LOST, RetryPolicy, TaskType
from kallback.sdk import TaskFailed
from kallback.testing import HandlerTest
from kallback.workers import TaskFailure

ADVICE = "no other attempt follows: give its TaskType a policy (retry=RetryPolicy())"
SECOND = timedelta(seconds=1)
BARE = TaskType("bare", request=str, result=str, heartbeat_every=SECOND)
RETRIED = TaskType("retried", request=str, result=str, heartbeat_every=SECOND, retry=RetryPolicy(attempts=2))


async def failure_of(test: HandlerTest, task_type: TaskType[str, str]) -> TaskFailed:
    """What a handler gets."""

    async def handler(ctx: restate.Context) -> None:
        await test.callbacks.call(ctx, task_type, "soup")

    with pytest.raises(TaskFailed) as caught:
        await test.run(handler)
    return caught.value


async def test_without_a_policy_the_error_of_a_lost_attempt_names_it() -> None:
    """After what happened."""
    async with HandlerTest() as test:
        test.worker.on(BARE).is_lost()
        error = await failure_of(test, BARE)

    assert error.type == HEARTBEAT_LOST
    assert str(error.problem.detail).endswith(ADVICE)


async def test_with_a_policy_the_last_lost_attempt_is_reported_as_it_is() -> None:
    """More of it would not have helped."""
    async with HandlerTest() as test:
        test.worker.on(RETRIED).is_lost()
        error = await failure_of(test, RETRIED)

    assert (error.type, error.attempt) == (HEARTBEAT_LOST, 2)
    assert ADVICE not in str(error.problem.detail)


async def test_the_workers_own_failure_gets_no_advice() -> None:
    """Its function knows better whether to try again."""
    async with HandlerTest() as test:
        test.worker.on(BARE).fails(TaskFailure("OutOfStock", "no basil"))
        error = await failure_of(test, BARE)

    assert error.problem.detail == "no basil"
