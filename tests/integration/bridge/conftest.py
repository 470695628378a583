"""Fixtures: a results topic of the test's own, and a bridge that runs for a whole module."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import replace
from uuid import uuid4

import pytest
import restate
from tests.integration.bridge.environment import ResultsTopic, RunningBridge, open_results_topic, waiter

from kallback.bridge import BridgeOptions, Client
from kallback.settings import Topics
from kallback.testing import RestateServer, Stack
from kallback.testing.clients.service_endpoint import serve_endpoint
from kallback.testing.topics import TopicFactory


@pytest.fixture(scope="module")
async def waiter_service(restate_server: RestateServer) -> AsyncGenerator[None]:
    """The service whose handlers wait, registered with the shared Restate."""
    async with serve_endpoint(restate.app([waiter]), restate_server):
        yield


@pytest.fixture
async def results(
    request: pytest.FixtureRequest,
    kallback_stack: Stack,
    topic_names: Topics,
    waiter_service: None,  # noqa: ARG001 - it has to be there
) -> AsyncGenerator[ResultsTopic]:
    """A results topic of the test's own, and a group that has committed; no bridge yet.

    A test with `both_clients` runs with each client of bridges.
    """
    async with AsyncExitStack() as until:
        results = await open_results_topic(kallback_stack, topic_names, until)
        await results.establish_group()
        yield replace(results, client=Client(getattr(request, "param", Client.CONFLUENT)))


@pytest.fixture(scope="module", params=list(Client))
async def running(
    request: pytest.FixtureRequest,
    kallback_stack: Stack,
    topics_factory: TopicFactory,
    waiter_service: None,  # noqa: ARG001 - it has to be there
) -> AsyncGenerator[RunningBridge]:
    """One bridge of each client, one results topic that takes 4 MB."""
    topics = Topics(prefix=f"kallback-{uuid4().hex[:8]}.")
    large = {"max.message.bytes": str(4 * 1024 * 1024)}
    topics_factory.make(
        [topics.results, topics.dead_letters, topics.outcomes, topics.progress], partitions=2, config=large
    )
    async with AsyncExitStack() as until:
        results = await open_results_topic(kallback_stack, topics, until)
        results.client = request.param
        await results.establish_group()
        bridge = await until.enter_async_context(results.bridge(BridgeOptions(outcomes=True)))
        yield RunningBridge(results, bridge)
