"""How much memory the bridge takes while very many results are drained, and whether it keeps growing."""

from __future__ import annotations

import time
from typing import Final

from benchmarks.drains import filled
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.figures import Samples
from benchmarks.processes import BridgeProcess, rss_mib
from benchmarks.records import CommittedPositions

_BETWEEN_LOOKS: Final = 0.5
_TIMEOUT_S: Final = 1_800.0


def measure(environment: BenchmarkEnvironment, samples: Samples, count: int) -> None:
    """Once: it takes minutes."""
    topics = filled(environment, count).topics
    positions = CommittedPositions(environment.stack.bootstrap_servers, f"{topics.results}.bridge", topics.results)
    log = environment.log("bridge-memory")
    with BridgeProcess("ingress", env=environment.variables(topics), log=log) as process:
        seen = _watch(process.pid, positions, count)
        samples.add("memory.peak_rss_mib", rss_mib(process.pid, "VmHWM"))
    positions.close()
    early = max((rss for at, rss in seen if at <= count / 4), default=seen[0][1])
    samples.add("memory.growth_mib", max(rss for _, rss in seen) - early)


def _watch(pid: int | None, positions: CommittedPositions, count: int) -> list[tuple[int, float]]:
    """Resident memory by committed records, until all are."""
    seen: list[tuple[int, float]] = []
    deadline = time.monotonic() + _TIMEOUT_S
    while not seen or seen[-1][0] < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {_TIMEOUT_S:g} s only {seen[-1][0]} of {count} results were committed")
        time.sleep(_BETWEEN_LOOKS)
        seen.append((sum(positions.read()), rss_mib(pid)))
    return seen
