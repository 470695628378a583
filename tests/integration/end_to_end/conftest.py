"""Fixtures of tests in which a real Kafka, a real Restate and several parts of kallback work together."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest
import restate
from tests.integration.bridge.environment import ResultsTopic, open_results_topic, waiter
from tests.integration.end_to_end.environment import TaskPath, open_task_path

from kallback.settings import Topics
from kallback.testing import Stack, TopicFactory, serve_endpoint


@pytest.fixture
async def results(
    kallback_stack: Stack, topics_factory: TopicFactory, topic_names: Topics
) -> AsyncGenerator[ResultsTopic]:
    """A results topic of the test's own, in the four partitions that topics have by default; no bridge yet."""
    topics = Topics(prefix=f"{topic_names.prefix}four.")
    topics_factory.make(topics.all(), partitions=4)
    async with AsyncExitStack() as until:
        await until.enter_async_context(serve_endpoint(restate.app([waiter]), kallback_stack.restate))
        yield await open_results_topic(kallback_stack, topics, until)


@pytest.fixture
async def path(kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory) -> AsyncGenerator[TaskPath]:
    """A handler that asks for a task, on topics of the test's own; no bridge and no worker yet."""
    async with AsyncExitStack() as until:
        yield await open_task_path(kallback_stack, topic_names, topics_factory, until)
