"""Dashboard and documentation name the metrics that there are, and all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.docs.metric_tables import documented, exposed

from kallback.bridge.observability.metrics import PREFIX, BridgeCollector
from kallback.health.exposition import exposition

ROOT = Path(__file__).parents[4]
DASHBOARD = json.loads((ROOT / "dashboards" / "kallback-bridge.json").read_text())
_NAME = re.compile(r"\b(?:kallback_bridge|process|python)_[a-z_]+")
_SAMPLES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",), "gauge": ("",)}


@pytest.fixture
def families(env: BridgeEnv) -> list[Metric]:
    """What a bridge exposes, with or without samples."""
    return list(BridgeCollector(env.bridge()).collect())


@pytest.fixture
def samples(families: list[Metric], env: BridgeEnv) -> dict[str, str]:
    """Names as they can stand in a query, with the name in the document."""
    found: dict[str, str] = {}
    for family in families:
        suffixes = _SAMPLES[family.type]
        shown = family.name + (suffixes[0] if family.type != "histogram" else "")
        found |= {family.name + suffix: shown for suffix in suffixes}
    body = exposition(BridgeCollector(env.bridge()))("text/plain")[0].decode()
    return found | {name: name for name in _NAME.findall(body) if not name.startswith(PREFIX)}


def queries() -> Iterator[str]:
    """All expressions of the dashboard, those of its variables included."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (it["query"]["query"] for it in DASHBOARD["templating"]["list"] if it["type"] == "query")


async def test_every_metric_of_the_dashboard_exists(samples: dict[str, str]) -> None:
    """No panel stays empty because of a name."""
    assert {name for query in queries() for name in _NAME.findall(query)} <= set(samples)


async def test_every_query_asks_for_a_metric() -> None:
    """Neither an empty panel nor a name of somebody else's."""
    assert [query for query in queries() if not _NAME.search(query)] == []


async def test_every_metric_is_on_the_dashboard(samples: dict[str, str]) -> None:
    """What is worth counting is worth a look."""
    drawn = {name for query in queries() for name in _NAME.findall(query)}
    missing = {shown for name, shown in samples.items() if name.startswith(PREFIX)} - {
        samples[name] for name in drawn if name in samples
    }
    assert missing == set()


async def test_the_document_lists_what_there_is(families: list[Metric]) -> None:
    """Each metric has its row with its kind and its labels, and no row is about a metric that is gone."""
    assert documented("observability.md", PREFIX) == exposed(families)


async def test_names_follow_prometheus_rules(families: list[Metric], env: BridgeEnv) -> None:
    """One prefix, each with help, each once, and a registry takes them."""
    CollectorRegistry().register(BridgeCollector(env.bridge()))
    assert all(family.name.startswith(PREFIX) and family.documentation for family in families)
    assert len({family.name for family in families}) == len(families)


async def test_panels_do_not_overlap() -> None:
    """Grafana would push them around."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
