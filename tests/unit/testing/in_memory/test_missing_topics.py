"""A handler whose task topic does not exist yet: it waits for a bounded time, and says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
import restate

from kallback.protocol import RetryPolicy, TaskType
from kallback.sdk import TaskNotSent
from kallback.sdk.errors import MISSING_TOPIC
from kallback.testing import HandlerTest
from kallback.testing.log_capture import capture_logs

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
PREPARE = TaskType("prepare", request=str, result=str, timeout=HOUR)
WATCHED = replace(PREPARE, start_timeout=SECOND, retry=RetryPolicy(attempts=2))


@pytest.fixture(name="test")
async def started_test() -> AsyncIterator[HandlerTest]:
    """One that is started; no task topic exists."""
    async with HandlerTest() as started:
        yield started


async def call(ctx: restate.Context, test: HandlerTest, task_type: TaskType[str, str]) -> str:
    """A handler with one task."""
    return await test.callbacks.call(ctx, task_type, "soup")


@pytest.mark.parametrize("task_type", [PREPARE, WATCHED], ids=["plain", "with a start timeout"])
async def test_a_topic_that_is_never_created_ends_the_task_after_a_minute(
    test: HandlerTest, task_type: TaskType[str, str]
) -> None:
    """The error and the log name the topic and the command."""
    with capture_logs() as lines, pytest.raises(TaskNotSent, match=r"topics create prepare.*tried for 60 s") as caught:
        await test.run(call, test, task_type)
    assert caught.value.type == MISSING_TOPIC
    assert MINUTE <= test.elapsed <= MINUTE + 5 * SECOND
    first, last = (line for line in lines if line["log_level"] in {"warning", "error"})
    assert "topics create prepare" in first["detail"]
    assert "was not sent" in last["event"]


async def test_a_topic_that_is_created_meanwhile_is_used(test: HandlerTest) -> None:
    """The service was deployed before its topics."""

    def create() -> None:
        test.worker.on(PREPARE).completes("done")

    test.after(30 * SECOND, create)
    assert await test.run(call, test, PREPARE) == "done"
    assert test.elapsed <= 36 * SECOND


async def test_a_deadline_may_come_first(test: HandlerTest) -> None:
    """The error names the topic all the same."""
    short = TaskType("prepare", request=str, result=str, timeout=10 * SECOND)
    with pytest.raises(TaskNotSent, match="topics create prepare") as caught:
        await test.run(call, test, short)
    assert (caught.value.type, test.elapsed) == (MISSING_TOPIC, 10 * SECOND)


async def test_many_tasks_wait_together(test: HandlerTest) -> None:
    """One minute for all, also where each attempt has times of its own."""

    async def handler(ctx: restate.Context) -> int:
        handles = await test.callbacks.start_many(ctx, WATCHED, ["soup", "cake", "tea"])
        return sum(isinstance(each, TaskNotSent) for each in await test.callbacks.gather(handles, partial=True))

    assert await test.run(handler) == 3
    assert test.elapsed <= 2 * MINUTE
