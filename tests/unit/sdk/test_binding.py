"""A task type that needs kallback's services: without them its task is refused at once, and nothing is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
import restate

from kallback.kafka import MemoryProducer
from kallback.protocol import Keyring, TaskType
from kallback.sdk import Callbacks, TaskNotSent
from kallback.sdk.callbacks import environment_of_callbacks
from kallback.sdk.errors import NOT_WATCHED
from kallback.sdk.task_environment import redirect
from kallback.settings import KeySettings, Settings
from kallback.testing import HandlerTest
from kallback.testing.in_memory.clock import START
from kallback.testing.log_capture import capture_logs

SETTINGS = Settings(keys=KeySettings(keyring=Keyring({"test": b"0" * 32})))
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
PLAIN = TaskType("plain", request=str, result=str, timeout=HOUR)
WATCHED = [
    TaskType("beating", request=str, result=str, timeout=HOUR, heartbeat_every=SECOND),
    TaskType("starting", request=str, result=str, timeout=HOUR, start_timeout=SECOND),
]


@pytest.fixture(name="test")
async def started_test() -> AsyncIterator[HandlerTest]:
    """One that is started, with a worker for each type."""
    async with HandlerTest() as started:
        for task_type in (PLAIN, *WATCHED):
            started.worker.on(task_type).answers(str.upper)
        yield started


def callbacks_of(test: HandlerTest, *, elsewhere: bool = False) -> Callbacks:
    """As a service makes them."""
    return Callbacks(
        SETTINGS,
        producer=MemoryProducer(test.broker),
        clock=lambda: START + test.elapsed.total_seconds(),
        services_elsewhere=elsewhere,
    )


async def one(ctx: restate.Context, callbacks: Callbacks, task_type: TaskType[str, str]) -> Any:
    """A handler with one task."""
    redirect(ctx, environment_of_callbacks(callbacks))  # not to that of the test
    return await callbacks.call(ctx, task_type, "soup")


async def many(ctx: restate.Context, callbacks: Callbacks, task_type: TaskType[str, str]) -> Any:
    """A handler with many tasks."""
    redirect(ctx, environment_of_callbacks(callbacks))
    return await callbacks.gather(await callbacks.start_many(ctx, task_type, ["soup"]))


@pytest.mark.parametrize("handler", [one, many])
@pytest.mark.parametrize("task_type", WATCHED, ids=lambda it: it.name)
async def test_without_the_services_it_is_refused(
    test: HandlerTest, handler: Any, task_type: TaskType[str, str]
) -> None:
    """The error and a log line name the remedy."""
    with capture_logs() as lines, pytest.raises(TaskNotSent, match=r"callbacks\.app\(\[\.\.\.\]\)") as caught:
        await test.run(handler, callbacks_of(test), task_type)
    assert (caught.value.type, test.broker.records(task_type.topic)) == (NOT_WATCHED, [])
    (line,) = (line for line in lines if line["log_level"] == "error")
    assert "callbacks.app([...])" in line["event"]


def by_app(test: HandlerTest) -> Callbacks:
    """The application binds them."""
    callbacks = callbacks_of(test)
    callbacks.app([])
    return callbacks


def by_hand(test: HandlerTest) -> Callbacks:
    """The user binds them with those of others."""
    callbacks = callbacks_of(test)
    restate.app(callbacks.services)
    return callbacks


@pytest.mark.parametrize("bound", [by_app, by_hand, lambda test: callbacks_of(test, elsewhere=True)])
async def test_with_the_services_it_is_sent(test: HandlerTest, bound: Callable[[HandlerTest], Callbacks]) -> None:
    """Whichever way they are bound."""
    assert await test.run(one, bound(test), WATCHED[0]) == "SOUP"


async def test_a_type_without_heartbeats_needs_none(test: HandlerTest) -> None:
    """It calls no service."""
    assert await test.run(one, callbacks_of(test), PLAIN) == "SOUP"
