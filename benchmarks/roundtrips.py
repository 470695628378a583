"""How long a handler waits: one whose awakeable is completed at once by its own process, one that asks a worker.

A third is completed like the first and journals what the second does: with a Kafka, a worker and a bridge that cost
nothing, asking a worker would take as long.

Handlers are called over the ingress by this process, with one call or 64 calls under way. The service is one hypercorn
process, as it is the worker's and the bridge's machine, too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks.environment import BenchmarkEnvironment
from benchmarks.figures import WAYS, Samples, percentile
from benchmarks.poster import Poster
from benchmarks.processes import BridgeProcess, running
from benchmarks.rounds import rotated

_WARM_UP: Final = 64
_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True)
class Load:
    """So many calls, so many of them under way at one time."""

    name: str
    calls: int
    at_once: int


LOADS: Final = (Load("c1", 250, 1), Load("c64", 2_500, 64))


@contextmanager
def worker_and_bridge(environment: BenchmarkEnvironment) -> Generator[None]:
    """A worker and a bridge on the topics that the service knows."""
    env = environment.variables(environment.home)
    worker = ["kallback.cli", "worker", "benchmarks.worker:worker"]
    with (
        running("worker", worker, env=env, log=environment.log("worker"), ready=None),
        BridgeProcess("ingress", env=env, log=environment.log("bridge")),
    ):
        yield


@dataclass(frozen=True)
class Calls:
    """What the calls of one way under one load took.

    Attributes:
        took_s: from the first call to the last answer.
        latencies_s: of each call.
        repeated: handlers that were started more than once.
    """

    took_s: float
    latencies_s: Sequence[float]
    repeated: int


def measure(environment: BenchmarkEnvironment, samples: Samples, number: int) -> None:
    """Round `number`: all ways under both loads, beginning with another way than the round before.

    Call it in a `worker_and_bridge`.
    """
    for load in LOADS:
        for way in rotated(WAYS, number):
            calls = asyncio.run(_call(environment.stack.ingress_url, way, load))
            for figure, value in trip_figures(calls).items():
                samples.add(f"roundtrip.{way}.{load.name}.{figure}", value)


def trip_figures(calls: Calls) -> dict[str, float]:
    """The figures of some calls, by the last part of their key."""
    shares = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1.0}
    latencies = {name: percentile(calls.latencies_s, share) * 1000 for name, share in shares.items()}
    return {"per_s": len(calls.latencies_s) / calls.took_s, **latencies, "repeated": calls.repeated}


async def _call(url: str, way: str, load: Load) -> Calls:
    poster = Poster(url, connections=load.at_once)
    try:
        await _calls(poster, way, _WARM_UP, load.at_once)
        await _repeated(poster)  # those of the warm-up do not count
        began = time.monotonic()
        latencies = await _calls(poster, way, load.calls, load.at_once)
        return Calls(time.monotonic() - began, latencies, await _repeated(poster))
    finally:
        await poster.close()


async def _repeated(poster: Poster) -> int:
    return int(await poster.post("/Trips/repeated", b'""'))


async def _calls(poster: Poster, way: str, calls: int, at_once: int) -> list[float]:
    left = iter(range(calls))
    latencies: list[float] = []

    async def caller() -> None:
        for number in left:
            began = time.monotonic()
            text = f'"order {number}"'.encode()
            async with asyncio.timeout(_TIMEOUT_S):
                answer = await poster.post(f"/Trips/{way}", text)
            latencies.append(time.monotonic() - began)
            if answer != text:
                raise RuntimeError(f"{way} returned {answer!r} instead of {text!r}")

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(caller())
    return latencies
