"""The health port of a bridge between a real Kafka and a real Restate."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.bridge.environment import ResultsTopic, both_clients, with_restate

from kallback.bridge import BridgeOptions
from kallback.bridge.observability.health import HealthServer
from kallback.testing.polling import eventually

pytestmark = pytest.mark.integration


async def get(server: HealthServer, path: str) -> tuple[int, str]:
    """Status and body."""
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(f"http://127.0.0.1:{server.port}{path}")
    return answer.status_code, answer.text


def value(text: str, name: str) -> float:
    """The sum of a metric's samples."""
    families = text_string_to_metric_families(text)
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


@both_clients
async def test_a_scrape_after_work(results: ResultsTopic) -> None:
    """What was sent was settled, its latency was measured, and there is no lag."""
    await results.fill(200)
    bridge = results.bridge()
    async with HealthServer(bridge, 0) as server, bridge:
        await results.settle(200)

        async def rested() -> str | None:
            _, text = await get(server, "/metrics")
            partitions = value(text, "kallback_bridge_assigned_partitions")
            lags = [line for line in text.splitlines() if line.startswith("kallback_bridge_partition_lag_records{")]
            at_rest = len(lags) == partitions and value(text, "kallback_bridge_partition_lag_records") == 0
            return text if at_rest else None

        text = await eventually("a lag of 0 everywhere", rested)
        ready, _ = await get(server, "/readyz")
    assert ready == 200
    assert value(text, "kallback_bridge_records_settled_total") == 200
    assert value(text, "kallback_bridge_completion_latency_seconds_count") == 200
    assert 0 < value(text, "kallback_bridge_completion_latency_seconds_sum") < 200 * 60


@both_clients
async def test_lag_grows_while_restate_is_unavailable(results: ResultsTopic) -> None:
    """Not ready, but alive; what is written meanwhile shows as lag though nothing is fetched."""
    lost = with_restate(results, ingress_url="http://127.0.0.1:1")
    bridge = lost.bridge(BridgeOptions(drain_timeout=0.0))
    await results.fill(100)
    async with HealthServer(bridge, 0) as server, bridge:
        await eventually("Restate to be unavailable", lambda: bridge.stats.unavailable)
        await results.fill(2000)

        async def verdict() -> dict[str, Any] | None:
            status, text = await get(server, "/readyz")
            said: dict[str, Any] = json.loads(text)
            return said if said["lag"] == 2100 and status == 503 else None

        said = await eventually("a lag of 2100", verdict)
        live_status, _ = await get(server, "/livez")
    assert (said["restate"], said["reasons"], live_status) == (
        "unavailable",
        ["Restate is unavailable: fetching is paused"],
        200,
    )
