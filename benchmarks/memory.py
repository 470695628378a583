"""How much memory the bridge takes while very many results are drained, and whether it keeps growing."""

from __future__ import annotations

import time
from typing import Final

from benchmarks.drains import filled
from benchmarks.figures import Samples
from benchmarks.processes import BRIDGE_RUNS, bridge_command, rss_mib, running
from benchmarks.records import Positions
from benchmarks.world import World

_BETWEEN_LOOKS: Final = 0.5
_PATIENCE: Final = 1_800.0


def measure(world: World, samples: Samples, count: int) -> None:
    """Once: it takes minutes."""
    topics, _ = filled(world, count)
    positions = Positions(world.stack.bootstrap_servers, f"{topics.results}.bridge", topics.results)
    log = world.log("bridge-memory")
    with running("bridge", bridge_command("ingress"), env=world.env(topics), log=log, ready=BRIDGE_RUNS) as process:
        seen = _watch(process.pid, positions, count)
        samples.add("memory.peak_rss_mib", rss_mib(process.pid, "VmHWM"))
    positions.close()
    early = max((rss for at, rss in seen if at <= count / 4), default=seen[0][1])
    samples.add("memory.growth_mib", max(rss for _, rss in seen) - early)


def _watch(pid: int | None, positions: Positions, count: int) -> list[tuple[int, float]]:
    """Resident memory by committed records, until all are."""
    seen: list[tuple[int, float]] = []
    deadline = time.monotonic() + _PATIENCE
    while not seen or seen[-1][0] < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {_PATIENCE:g} s only {seen[-1][0]} of {count} results were committed")
        time.sleep(_BETWEEN_LOOKS)
        seen.append((sum(positions.read()), rss_mib(pid)))
    return seen
