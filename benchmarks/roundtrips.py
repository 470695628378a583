"""How long a handler waits: one whose awakeable is completed at once by its own process, one that asks a worker.

A third is completed like the first and journals what the second does: with a Kafka, a worker and a bridge that cost
nothing, asking a worker would take as long.

Handlers are called over the ingress by this process, with one call or 64 calls under way. The service is one hypercorn
process, as it is the worker's and the bridge's machine, too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks.figures import WAYS, Samples, percentile
from benchmarks.poster import Poster
from benchmarks.processes import BRIDGE_RUNS, bridge_command, running
from benchmarks.world import World

_WARM_UP: Final = 64
_PATIENCE: Final = 60.0


@dataclass(frozen=True)
class Load:
    """So many calls, so many of them under way at one time."""

    name: str
    calls: int
    at_once: int


LOADS: Final = (Load("c1", 250, 1), Load("c64", 2_500, 64))


@contextmanager
def kitchen(world: World) -> Generator[None]:
    """A worker and a bridge on the topics that the service knows."""
    env = world.env(world.home)
    worker = ["kallback.cli", "worker", "benchmarks.worker:worker"]
    with (
        running("worker", worker, env=env, log=world.log("worker"), ready=None),
        running("bridge", bridge_command("ingress"), env=env, log=world.log("bridge"), ready=BRIDGE_RUNS),
    ):
        yield


def measure(world: World, samples: Samples) -> None:
    """One round: all ways under both loads; call it in a `kitchen`."""
    for load in LOADS:
        for way in WAYS:
            took, latencies = asyncio.run(_call(world.stack.ingress_url, way, load))
            key = f"roundtrip.{way}.{load.name}"
            samples.add(f"{key}.per_s", load.calls / took)
            samples.add(f"{key}.p50_ms", percentile(latencies, 0.5) * 1000)
            samples.add(f"{key}.p99_ms", percentile(latencies, 0.99) * 1000)


async def _call(url: str, way: str, load: Load) -> tuple[float, list[float]]:
    poster = Poster(url, connections=load.at_once)
    try:
        await _calls(poster, way, _WARM_UP, load.at_once)
        began = time.monotonic()
        latencies = await _calls(poster, way, load.calls, load.at_once)
        return time.monotonic() - began, latencies
    finally:
        await poster.close()


async def _calls(poster: Poster, way: str, calls: int, at_once: int) -> list[float]:
    left = iter(range(calls))
    latencies: list[float] = []

    async def caller() -> None:
        for number in left:
            began = time.monotonic()
            text = f'"order {number}"'.encode()
            async with asyncio.timeout(_PATIENCE):
                answer = await poster.post(f"/Trips/{way}", text)
            latencies.append(time.monotonic() - began)
            if answer != text:
                raise RuntimeError(f"{way} returned {answer!r} instead of {text!r}")

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(caller())
    return latencies
