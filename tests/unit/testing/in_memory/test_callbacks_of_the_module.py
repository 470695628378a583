"""A handler uses the `Callbacks` of its module; under `HandlerTest` they work for the test, with nothing replaced."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import restate
from restate import TerminalError

from kallback.kafka import MemoryBroker, MemoryProducer
from kallback.protocol import Problem, RetryPolicy, TaskType
from kallback.sdk import Callbacks, TaskFailed
from kallback.settings import KeySettings, Settings, Topics
from kallback.testing import HandlerTest
from kallback.workers import TaskFailure

PREPARE = TaskType("prepare", request=str, result=str, retry=RetryPolicy(attempts=2))
BAKE = TaskType("bake", request=str, result=str, heartbeat_every=timedelta(minutes=1))
APPROVE = TaskType("approve", request=None, result=bool, timeout=timedelta(days=7))
kafka = MemoryBroker()
callbacks = Callbacks(
    Settings(topics=Topics(prefix="production."), keys=KeySettings(insecure=True)), producer=MemoryProducer(kafka)
)


@pytest.fixture(name="test")
async def started_test() -> AsyncIterator[HandlerTest]:
    """One that is started; nothing of it reaches the Kafka of the module."""
    async with HandlerTest() as started:
        yield started
    assert not kafka.topics()


async def called(ctx: restate.Context) -> list[str]:
    """One line."""
    return [await callbacks.call(ctx, PREPARE, "a")]


async def started(ctx: restate.Context) -> list[str]:
    """A handle."""
    return [await (await callbacks.start(ctx, PREPARE, "a")).result()]


async def many(ctx: restate.Context) -> list[str]:
    """Many at once."""
    return await callbacks.gather(await callbacks.start_many(ctx, PREPARE, ["a"]))


async def first(ctx: restate.Context) -> list[str]:
    """The first of many."""
    return await callbacks.first(await callbacks.start_many(ctx, PREPARE, ["a"]))


@pytest.mark.parametrize("handler", [called, started, many, first])
async def test_tasks_of_the_module_go_to_the_scripted_worker(test: HandlerTest, handler: Any) -> None:
    """Their later attempts, too."""
    kitchen = test.worker.on(PREPARE).fails(TaskFailure("Burnt", "once more")).completes("B3")
    assert await test.run(handler) == ["B3"]
    assert [task.headers.attempt for task in kitchen.tasks] == [1, 2]


async def test_progress_of_the_module_is_that_of_the_simulated_monitor(test: HandlerTest) -> None:
    """Though the module serves no `TaskMonitor`."""
    test.worker.on(BAKE).sends_heartbeat(73).completes("B3", after=timedelta(minutes=30))

    async def handler(ctx: restate.Context) -> tuple[int, str]:
        handle = await callbacks.start(ctx, BAKE, "rye")
        await ctx.sleep(timedelta(minutes=1))
        return (await callbacks.progress(ctx, handle.task_id)).details, await handle.result()

    assert await test.run(handler) == (73, "B3")


async def test_tokens_of_the_module_are_answered_by_the_test(test: HandlerTest) -> None:
    """By a person, or by another handler of the module."""

    async def handler(ctx: restate.Context) -> list[bool]:
        one, two, three = [await callbacks.awakeable(ctx, APPROVE) for _ in range(3)]
        assert one.url.startswith("https://answers.example.com/")
        test.complete(one.token, value=True, after=timedelta(days=1))
        callbacks.complete(ctx, two.token, value=False)
        callbacks.fail(ctx, three.token, Problem("TooExpensive", 422))
        with pytest.raises(TaskFailed, match="TooExpensive"):
            await three.result()
        return [await one.result(), await two.result()]

    assert await test.run(handler) == [True, False]


CALLS = [called, started, many]


@pytest.mark.parametrize("handler", CALLS)
async def test_a_mock_for_a_context_is_refused_with_the_line_to_write(handler: Any) -> None:
    """A handler that a test calls by itself."""
    with pytest.raises(TerminalError, match=r"MagicMock for ctx.* write await test\.run\(handler, argument\)"):
        await handler(MagicMock(spec=restate.Context))


@pytest.mark.parametrize("handler", CALLS)
async def test_what_is_no_context_is_refused(handler: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(TerminalError, match=r"ctx must be the handler's restate\.Context, not SimpleNamespace"):
        await handler(SimpleNamespace())


def test_a_token_is_completed_with_a_context_only() -> None:
    """Restate would retry another error without end."""
    with pytest.raises(TerminalError, match=r"ctx must be the handler's restate\.Context, not NoneType"):
        callbacks.complete(None, "kb1:x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
