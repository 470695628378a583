"""A stop ends within the grace that orchestrators give, whatever is unavailable then."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import sys
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from tests.integration.bridge.environment import open_results_topic

from kallback.bridge import BridgeOptions, Client
from kallback.settings import Topics
from kallback.testing import KafkaServer, RestateServer, Stack
from kallback.testing.polling import eventually
from kallback.testing.topics import TopicFactory

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]

GRACE_S = 30.0
"""Kubernetes' default between SIGTERM and SIGKILL."""


@pytest.mark.parametrize(
    ("how", "client"), [("kill", Client.CONFLUENT), ("pause", Client.CONFLUENT), ("pause", Client.AIOKAFKA)]
)
async def test_a_stop_with_kafka_unavailable_and_dead_letters_queued(
    own_kafka: KafkaServer, restate_server: RestateServer, how: str, client: Client
) -> None:
    """Neither the drain, nor the writers, nor the consumer, nor the producer waits for its own timeout."""
    topics = Topics(prefix=f"kallback-{uuid4().hex[:8]}.")
    TopicFactory(own_kafka).make([topics.results, topics.dead_letters, topics.progress])
    async with AsyncExitStack() as until:
        results = await open_results_topic(Stack(own_kafka, restate_server), topics, until)
        results.client = client
        bridge = results.bridge(BridgeOptions(writers=1))
        await asyncio.gather(*(results.send(b"oops", ("kallback-token", b"nonsense")) for _ in range(3_000)))
        await bridge.start()
        await eventually("dead letters that wait", lambda: bridge.stats.in_flight > 500, interval=0.002)
        await asyncio.to_thread(own_kafka.kill if how == "kill" else own_kafka.pause)
        queued = bridge.stats.in_flight
        async with asyncio.timeout(GRACE_S):
            await bridge.stop()
        await asyncio.to_thread(own_kafka.start if how == "kill" else own_kafka.resume)
    assert queued > 0


async def test_a_process_ends_with_kafka_unavailable(own_kafka: KafkaServer, restate_server: RestateServer) -> None:
    """No thread of a client keeps the process alive after SIGTERM."""
    topics = Topics(prefix=f"kallback-{uuid4().hex[:8]}.")
    TopicFactory(own_kafka).make([topics.results, topics.dead_letters, topics.progress])
    async with AsyncExitStack() as until:
        results = await open_results_topic(Stack(own_kafka, restate_server), topics, until)
        await asyncio.gather(*(results.send(b"oops", ("kallback-token", b"nonsense")) for _ in range(3_000)))
        environment = {
            **os.environ,
            "KALLBACK_KEYS": "k1:" + base64.b64encode(hashlib.sha256(b"one").digest()).decode(),
            "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": own_kafka.bootstrap_servers,
            "KALLBACK_RESTATE_INGRESS_URL": results.settings.restate.ingress_url,
            "KALLBACK_RESTATE_ADMIN_URL": results.settings.restate.admin_url,
            "KALLBACK_TOPICS_PREFIX": topics.prefix,
        }
        command = (sys.executable, "-m", "kallback.cli", "bridge")
        process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
        assert process.stderr is not None
        said = b""
        while b"result dead-lettered" not in said:
            said += await asyncio.wait_for(process.stderr.readline(), 60)
        await asyncio.to_thread(own_kafka.pause)
        process.terminate()
        await asyncio.wait_for(process.communicate(), GRACE_S)
        await asyncio.to_thread(own_kafka.resume)
    assert process.returncode == 0
