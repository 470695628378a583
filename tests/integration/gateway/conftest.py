"""A results topic of the module's own, with a bridge and a gateway of each Kafka client."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import uuid4

import httpx
import pytest
import restate
from tests.integration.bridge.environment import ResultsTopic, open_results_topic, waiter

from kallback.bridge import BridgeOptions
from kallback.gateway import Gateway, GatewayOptions
from kallback.kafka import Client
from kallback.protocol import TaskType
from kallback.settings import Topics
from kallback.testing import RestateServer, Stack
from kallback.testing.clients.service_endpoint import serve_endpoint
from kallback.testing.topics import TopicFactory
from kallback.web import ServerOptions

APPROVE = TaskType("orders.approve", request=None, result=bool)


@dataclass
class RunningGateway:
    """A gateway before a bridge, and a client of it."""

    results: ResultsTopic
    gateway: Gateway
    client: httpx.AsyncClient


@pytest.fixture(scope="module", params=list(Client))
async def running(
    request: pytest.FixtureRequest, kallback_stack: Stack, restate_server: RestateServer, topics_factory: TopicFactory
) -> AsyncGenerator[RunningGateway]:
    """Handlers that wait, a bridge, and a gateway that runs for the whole module."""
    topics = Topics(prefix=f"kallback-{uuid4().hex[:8]}.")
    topics_factory.make([topics.results, topics.dead_letters, topics.outcomes, topics.progress], partitions=2)
    async with AsyncExitStack() as until:
        await until.enter_async_context(serve_endpoint(restate.app([waiter]), restate_server))
        results = await open_results_topic(kallback_stack, topics, until)
        results.client = request.param
        await results.establish_group()
        await until.enter_async_context(results.bridge(BridgeOptions(outcomes=True)))
        options = GatewayOptions(
            server=ServerOptions(port=0),
            client=request.param,
            requests_per_second=0,
            task_types={APPROVE.name: APPROVE},
        )
        gateway = await until.enter_async_context(Gateway(results.settings, options))
        client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{gateway.port}", verify=False, trust_env=False, timeout=60
        )
        yield RunningGateway(results, gateway, await until.enter_async_context(client))
