"""A partition that a bridge owns and does not read although it has records: seen at the health port."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.integration.bridge.environment import ResultsTopic, both_clients
from tests.integration.bridge.test_health_port import get, value
from tests.integration.kafka.test_stalled_partitions import impatient, pause_behind_its_back

from kallback.bridge.observability.health import HealthServer
from kallback.kafka import TopicPartition
from kallback.testing.polling import eventually

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("impatient")]
__all__ = ["impatient"]


@both_clients
async def test_the_port_names_a_partition_that_is_not_read(results: ResultsTopic) -> None:
    """Not ready, alive, and in the metric that alerts; once its results are read, ready again."""
    partition = TopicPartition(results.settings.topics.results, 0)
    bridge = results.bridge()
    async with HealthServer(bridge, 0) as server, bridge:
        await results.fill(20)
        await results.settle(20)
        await pause_behind_its_back(bridge._fetcher._consumer, partition)
        await results.fill(20)

        sentence = f"not read for 30 s though there are records: {partition}"
        seen: set[object] = set()

        async def stalled() -> bool:
            readiness, metrics = await asyncio.gather(get(server, "/readyz"), get(server, "/metrics"))
            status, text = readiness
            seen.update((status, reason) for reason in json.loads(text)["reasons"])
            seen.add(value(metrics[1], "kallback_bridge_partitions_stalled"))
            return {(503, sentence), 1.0} <= seen

        await eventually("the sentence and the metric", stalled, timeout=60, interval=0.01)
        assert (await get(server, "/livez"))[0] == 200
        await results.settle(40, timeout=60)

        async def ready() -> bool:
            status, _ = await get(server, "/readyz")
            return status == 200

        await eventually("readiness", ready, timeout=60)
