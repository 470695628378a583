"""A results topic of its own keeps a team's results apart from those that an open transaction holds back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import pytest
from tests.integration.end_to_end.environment import TaskPath, open_task_path, serve_task_path
from tests.integration.kafka.labs import transaction

from kallback.bridge import Bridge, BridgeOptions
from kallback.kafka import Client
from kallback.protocol import TaskType
from kallback.settings import Topics
from kallback.testing import Stack, TopicFactory
from kallback.workers import Worker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@dataclass(frozen=True)
class TwoPaths:
    """Handlers of two task types: one whose results go where all do, one with a topic of its own."""

    usual: TaskPath
    apart: TaskPath


@pytest.fixture(params=list(Client))
async def paths(
    request: pytest.FixtureRequest, kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory
) -> AsyncGenerator[TwoPaths]:
    """Both handlers, a bridge and a worker; each results topic has one partition."""
    prefix = f"{topic_names.prefix}apart."
    topics = Topics(prefix=prefix, more_results=frozenset({f"{prefix}own"}))
    topics_factory.make(topics.all(), partitions=1)
    types = [
        TaskType(topics_factory("work"), request=str, result=str, timeout=timedelta(minutes=2), results_topic=results)
        for results in ("", f"{prefix}own")
    ]
    async with AsyncExitStack() as until:
        usual = await open_task_path(kallback_stack, topics, topics_factory, until, types[0])
        apart = await serve_task_path(kallback_stack, usual.settings, types[1], until)
        client: Client = request.param
        await until.enter_async_context(Bridge(usual.settings, BridgeOptions(client=client)))
        worker = Worker(f"{prefix}worker", settings=usual.settings, client=client)
        for task_type in types:
            worker.task(task_type)(shout)
        await until.enter_async_context(worker)
        yield TwoPaths(usual, apart)


async def shout(text: str) -> str:
    """The work of both types."""
    return text.upper()


async def test_an_open_transaction_does_not_hold_back_the_results_of_another_topic(paths: TwoPaths) -> None:
    """The result behind it waits until it ends, the other one arrives meanwhile."""
    settings = paths.usual.settings
    with contextlib.ExitStack() as opened:
        await asyncio.to_thread(opened.enter_context, transaction(settings.kafka, settings.topics.results, "x"))
        held = asyncio.create_task(paths.usual.call("soup"))
        assert await paths.apart.call("rice") == "RICE"
        assert not held.done()
        await asyncio.to_thread(opened.close)
    assert await held == "SOUP"
