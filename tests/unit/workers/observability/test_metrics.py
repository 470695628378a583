"""The table of a worker's metrics names what a worker exposes, and all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from tests.unit.workers.environment import WorkerEnv

from kallback.workers.observability.metrics import PREFIX, WorkerCollector

PAGE = (Path(__file__).parents[4] / "docs" / "observability.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| `(kallback_worker_[a-z_]+)` \|([^|]*)\|", PAGE, re.MULTILINE))
SUFFIXES = {"counter": "_total", "info": "_info"}


@pytest.fixture
def families(env: WorkerEnv) -> list[Metric]:
    """What a worker exposes, with or without samples."""
    return list(WorkerCollector(env.worker(), lambda: True).collect())


def shown(family: Metric) -> str:
    """The name of a family as the table has it."""
    name = family.name + SUFFIXES.get(family.type, "")
    return f"{name}_info" if name.endswith("_build") else name


def test_the_table_lists_what_there_is(families: list[Metric]) -> None:
    """Each metric has its row, and no row is about a metric that is gone."""
    assert set(ROWS) == {shown(family) for family in families}


def test_the_table_says_the_labels(families: list[Metric]) -> None:
    """Each label of a metric is in its row."""
    for family in families:
        labels = getattr(family, "_labelnames", ()) or [it for sample in family.samples for it in sample.labels]
        assert all(label in ROWS[shown(family)] for label in labels), (shown(family), labels)


def test_the_table_says_the_kinds(families: list[Metric]) -> None:
    """A rate of a gauge means nothing."""
    for family in families:
        kind = "gauge" if family.type == "info" else family.type
        assert ROWS[shown(family)].strip().startswith(kind), (shown(family), family.type)


def test_names_follow_prometheus_rules(families: list[Metric], env: WorkerEnv) -> None:
    """One prefix, each with help, each once, and a registry takes them."""
    CollectorRegistry().register(WorkerCollector(env.worker(), lambda: True))
    assert all(family.name.startswith(PREFIX) and family.documentation for family in families)
    assert len({family.name for family in families}) == len(families)
