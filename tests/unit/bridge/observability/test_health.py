"""The health port of a bridge."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import RecordFactory

from kallback.bridge import BridgeOptions
from kallback.bridge.observability.health import HealthServer
from kallback.protocol import ConfigurationError
from kallback.testing.polling import eventually


async def get(server: HealthServer, path: str) -> tuple[int, bytes]:
    """Status and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
    head, _, body = (await asyncio.wait_for(reader.read(), 60)).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split(b" ", 2)[1]), body


async def test_the_life_of_a_bridge(env: BridgeEnv) -> None:
    """Starting, running, stopped: always live, ready in the middle."""
    bridge = env.bridge()
    seen: list[tuple[int, int, str]] = []
    async with HealthServer(bridge, 0) as server:

        async def look() -> None:
            (live, _), (ready, body) = await get(server, "/livez"), await get(server, "/readyz")
            seen.append((live, ready, json.loads(body)["phase"]))

        await look()
        async with bridge:
            await eventually("the group", lambda: (status := bridge.group_status()) is not None and status.joined)
            await look()
        await look()
    assert seen == [(200, 503, "starting"), (200, 200, "running"), (200, 503, "stopped")]


async def test_draining_is_not_ready(env: BridgeEnv, make: RecordFactory) -> None:
    """While what is in flight is waited for, no traffic is promised; the reason is in the body."""
    env.hold.clear()
    env.broker.append(make.completed())
    bridge = env.bridge()
    async with HealthServer(bridge, 0) as server:
        await bridge.start()
        await eventually("the post", lambda: env.posted)
        stopping = asyncio.create_task(bridge.stop())
        await eventually("the drain", lambda: bridge.phase.value == "draining")
        status, body = await get(server, "/readyz")
        env.hold.set()
        await stopping
    assert (status, json.loads(body)["reasons"]) == (503, ["the bridge is draining"])


async def test_a_bridge_that_stands_still_is_not_live(env: BridgeEnv, make: RecordFactory) -> None:
    """A completer that never answers: 503, and why."""
    env.hold.clear()
    env.broker.append(make.completed())
    now = [0.0]
    bridge = env.bridge(BridgeOptions(drain_timeout=0.0))
    async with bridge, HealthServer(bridge, 0, monotonic=lambda: now[0]) as server:
        await eventually("the post", lambda: env.posted)
        before = await get(server, "/livez")
        now[0] = 61.0
        status, body = await get(server, "/livez")
    assert (before[0], status) == (200, 503)
    assert any("in flight" in reason for reason in json.loads(body)["reasons"])


async def test_metrics_are_served(env: BridgeEnv, make: RecordFactory) -> None:
    """What a scraper reads."""
    env.broker.append(make.completed())
    bridge = env.bridge()
    async with bridge, HealthServer(bridge, 0) as server:
        await env.settle(1)
        status, body = await get(server, "/metrics")
    assert status == 200
    assert b"kallback_bridge_records_fetched_total 1.0\n" in body
    assert b"process_resident_memory_bytes" in body


async def test_it_listens_on_loopback_alone(env: BridgeEnv) -> None:
    """There is no login, so nobody else gets in unless told."""
    async with HealthServer(env.bridge(), 0) as server:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.2", server.port)


async def test_stopping_leaves_nothing(env: BridgeEnv) -> None:
    """No task of ours is left; stopping twice is fine; what was not started can be stopped."""
    server = HealthServer(env.bridge(), 0)
    await server.stop()
    await server.start()
    await server.stop()
    await server.stop()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "kallback-health"]


async def test_a_taken_port_ends_the_start(env: BridgeEnv) -> None:
    """And leaves nothing running."""
    async with HealthServer(env.bridge(), 0) as server:
        with pytest.raises(ConfigurationError):
            await HealthServer(env.bridge(), server.port).start()
