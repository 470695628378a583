"""The health port of a bridge."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from kallback.bridge import BridgeOptions
from kallback.bridge.observability.health import HealthServer
from kallback.protocol import ConfigurationError
from kallback.testing.polling import eventually


async def get(server: HealthServer, path: str) -> tuple[int, bytes]:
    """Status and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split(b" ", 2)[1]), body


async def test_the_life_of_a_bridge(world: Any) -> None:
    """Starting, running, stopped: always live, ready in the middle."""
    bridge = world.bridge()
    seen: list[tuple[int, int, str]] = []
    async with HealthServer(bridge, 0) as server:

        async def look() -> None:
            (live, _), (ready, body) = await get(server, "/livez"), await get(server, "/readyz")
            seen.append((live, ready, json.loads(body)["phase"]))

        await look()
        async with bridge:
            await eventually("the group", lambda: bridge.group_status().joined)
            await look()
        await look()
    assert seen == [(200, 503, "starting"), (200, 200, "running"), (200, 503, "stopped")]


async def test_draining_is_not_ready(world: Any, mint: Any) -> None:
    """While what is in flight is waited for, no traffic is promised; the reason is in the body."""
    world.hold.clear()
    world.broker.append(mint.completed())
    bridge = world.bridge()
    async with HealthServer(bridge, 0) as server:
        await bridge.start()
        await eventually("the post", lambda: world.posted)
        stopping = asyncio.create_task(bridge.stop())
        await eventually("the drain", lambda: bridge.phase.value == "draining")
        status, body = await get(server, "/readyz")
        world.hold.set()
        await stopping
    assert (status, json.loads(body)["reasons"]) == (503, ["the bridge is draining"])


async def test_a_bridge_that_stands_still_is_not_live(world: Any, mint: Any) -> None:
    """A completer that never answers: 503, and why."""
    world.hold.clear()
    world.broker.append(mint.completed())
    now = [0.0]
    bridge = world.bridge(BridgeOptions(drain_timeout=0.0))
    async with bridge, HealthServer(bridge, 0, monotonic=lambda: now[0]) as server:
        await eventually("the post", lambda: world.posted)
        before = await get(server, "/livez")
        now[0] = 61.0
        status, body = await get(server, "/livez")
    assert (before[0], status) == (200, 503)
    assert any("in flight" in reason for reason in json.loads(body)["reasons"])


async def test_metrics_are_served(world: Any, mint: Any) -> None:
    """What a scraper reads."""
    world.broker.append(mint.completed())
    bridge = world.bridge()
    async with bridge, HealthServer(bridge, 0) as server:
        await world.settle(1)
        status, body = await get(server, "/metrics")
    assert status == 200
    assert b"kallback_bridge_records_fetched_total 1.0\n" in body
    assert b"process_resident_memory_bytes" in body


async def test_it_listens_on_loopback_alone(world: Any) -> None:
    """There is no login, so nobody else gets in unless told."""
    async with HealthServer(world.bridge(), 0) as server:
        sockets = server._pages._server.sockets
        assert [it.getsockname()[0] for it in sockets] == ["127.0.0.1"]


async def test_stopping_leaves_nothing(world: Any) -> None:
    """No task of ours is left; stopping twice is fine; what was not started can be stopped."""
    server = HealthServer(world.bridge(), 0)
    await server.stop()
    await server.start()
    await server.stop()
    await server.stop()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "kallback-health"]


async def test_a_taken_port_ends_the_start(world: Any) -> None:
    """And leaves nothing running."""
    async with HealthServer(world.bridge(), 0) as server:
        with pytest.raises(ConfigurationError):
            await HealthServer(world.bridge(), server.port).start()
