"""Fixtures for the tests of the gateway."""

from __future__ import annotations

import pytest
from tests.unit.gateway.environment import GatewayEnv, environment


@pytest.fixture
def env() -> GatewayEnv:
    """A broker in memory with the topics."""
    return environment()
