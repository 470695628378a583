"""The table of a worker's metrics names what a worker exposes, and all of it."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from tests.unit.docs.metric_tables import documented, exposed
from tests.unit.workers.environment import WorkerEnv

from kallback.workers.observability.metrics import PREFIX, WorkerCollector


@pytest.fixture
def families(env: WorkerEnv) -> list[Metric]:
    """What a worker exposes, with or without samples."""
    return list(WorkerCollector(env.worker(), lambda: True).collect())


def test_the_table_lists_what_there_is(families: list[Metric]) -> None:
    """Each metric has its row with its kind and its labels, and no row is about a metric that is gone."""
    assert documented("observability.md", "kallback_worker_") == exposed(families)


def test_names_follow_prometheus_rules(families: list[Metric], env: WorkerEnv) -> None:
    """One prefix, each with help, each once, and a registry takes them."""
    CollectorRegistry().register(WorkerCollector(env.worker(), lambda: True))
    assert all(family.name.startswith(PREFIX) and family.documentation for family in families)
    assert len({family.name for family in families}) == len(families)
