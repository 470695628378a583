"""An environment with topics of its own for each test, so that marks of other tests do not count."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from uuid import uuid4

import pytest
from tests.integration.sdk.environment import EnvFactory, SdkEnv, SdkServers
from tests.integration.sdk.long_tasks.bridge import SimulatedBridge

from kallback.settings import Settings


@pytest.fixture
def own_topics(servers: SdkServers) -> Settings:
    """Settings with a progress and a results topic of this test's own."""
    unique = uuid4().hex[:8]
    topics = replace(servers.settings.topics, progress=f"progress-{unique}", results=f"results-{unique}")
    return replace(servers.settings, topics=topics)


@pytest.fixture
async def env(own_topics: Settings, make_env: EnvFactory) -> AsyncGenerator[SdkEnv]:
    """An environment for long tasks."""
    async with make_env(settings=own_topics) as made:
        yield made


@pytest.fixture
def bridge(env: SdkEnv) -> SimulatedBridge:
    """The bridge of this environment."""
    return SimulatedBridge(env)
