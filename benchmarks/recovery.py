"""What a crash costs: the bridge killed at full load, Restate away for ten seconds.

One partition of the results topic stays empty until then. What is written there meanwhile cannot have been on its way
before, so its completion shows that completions have resumed, however much of the other partitions is sent again. How
far those had come is told by one marked record in `STEP`.

Restate's own part of its return is a figure of its own: until it accepts, from a client that asks all the time, a
completion for the partition of the handler that is waited for. What follows is the bridge's part.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import httpx

from benchmarks.environment import BenchmarkEnvironment, Marked
from benchmarks.figures import Samples
from benchmarks.processes import BridgeProcess
from benchmarks.records import (
    PARTITIONS,
    CommittedPositions,
    RecordPosition,
    every,
    record_positions,
    unknown_awakeable_like,
)
from kallback.settings import Topics

STEP: Final = 100
BUSY: Final = PARTITIONS - 1
"""Partitions that are full; the last one is the quiet one."""

PROBE: Final[RecordPosition] = (BUSY, 0)
"""The one record of the quiet partition."""

RESULTS: Final = 60_000
"""In the topic that a bridge drains when it, or Restate, is killed."""

_AWAY: Final = 10.0
_FULL_LOAD: Final = 0.4
"""The kill comes when this part of the records is completed."""
_TIMEOUT_S: Final = 120.0
_BETWEEN_PROBES: Final = 0.02


@dataclass(frozen=True)
class Load:
    """A full topic, and the marks in it."""

    topics: Topics
    marked: Marked
    positions: CommittedPositions


def measure(environment: BenchmarkEnvironment, samples: Samples) -> None:
    """One round: both crashes."""
    _bridge_killed(environment, samples, RESULTS)
    _restate_away(environment, samples, RESULTS)


def _bridge_killed(environment: BenchmarkEnvironment, samples: Samples, count: int) -> None:
    load = _filled(environment, count)
    log = environment.log("bridge-killed")
    variables = environment.variables(load.topics)
    with BridgeProcess("ingress", "--instance-id", "bench-0", env=variables, log=log) as process:
        _await_full_load(environment, load, count)
        process.kill()
        time.sleep(1.0)  # what is on its way arrives
        completed = _completed_positions(environment, load)
        committed = load.positions.read()[:BUSY]
        samples.add(
            "recovery.resent", sum(max(0, ours - theirs) for ours, theirs in zip(completed, committed, strict=True))
        )
        probe = environment.mark([PROBE])
        environment.writer.signed(load.topics.results, iter([PROBE]), probe.awakeables)
        began = time.monotonic()
        process.start()
        first, _ = environment.marks.span(probe.names.values(), _TIMEOUT_S)
        samples.add("recovery.resume_s", first - began)
        load.positions.wait(count + 1, _TIMEOUT_S)
    load.positions.close()


def _restate_away(environment: BenchmarkEnvironment, samples: Samples, count: int) -> None:
    load = _filled(environment, count)
    log = environment.log("bridge-waiting")
    env = environment.variables(load.topics)
    with BridgeProcess("ingress", env=env, log=log):
        _await_full_load(environment, load, count)
        probe = environment.mark([PROBE])
        environment.stack.restate.kill()
        environment.writer.signed(load.topics.results, iter([PROBE]), probe.awakeables)
        time.sleep(_AWAY)
        began = time.monotonic()
        environment.stack.restate.start()
        back = _accepts(environment, probe.awakeables[PROBE])
        samples.add("recovery.restate_start_s", back - began)
        first, _ = environment.marks.span(probe.names.values(), _TIMEOUT_S)
        samples.add("recovery.restate_down_s", max(0.0, first - back))
        load.positions.wait(count + 1, _TIMEOUT_S)
    load.positions.close()


def _filled(environment: BenchmarkEnvironment, count: int) -> Load:
    topics = environment.make_topics()
    marked = environment.mark(every(STEP, count, BUSY))
    environment.writer.signed(topics.results, record_positions(count, BUSY), marked.awakeables)
    return Load(
        topics,
        marked,
        CommittedPositions(environment.stack.bootstrap_servers, f"{topics.results}.bridge", topics.results),
    )


def _await_full_load(environment: BenchmarkEnvironment, load: Load, count: int) -> None:
    wanted = int(count / STEP * _FULL_LOAD)
    names = set(load.marked.names.values())
    environment.marks.until(
        "full load", lambda: len(names & environment.marks.completed().keys()) >= wanted, _TIMEOUT_S
    )


def _completed_positions(environment: BenchmarkEnvironment, load: Load) -> list[int]:
    """How far each busy partition has come, within `STEP` records."""
    completed = environment.marks.completed()
    return [
        max(
            (
                position[1]
                for position, name in load.marked.names.items()
                if position[0] == number and name in completed
            ),
            default=0,
        )
        for number in range(BUSY)
    ]


def _accepts(environment: BenchmarkEnvironment, awakeable: str) -> float:
    """Wait until Restate accepts a completion of ours for the partition of an awakeable. When that was.

    Healthy, Restate may still answer 503 or not at all, until that partition has a leader.
    """
    deadline = time.monotonic() + _TIMEOUT_S
    with httpx.Client(base_url=environment.stack.ingress_url, timeout=_TIMEOUT_S) as http:
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if http.post(f"/restate/awakeables/{unknown_awakeable_like(awakeable)}/resolve", json=None).is_success:
                    return time.monotonic()
            time.sleep(_BETWEEN_PROBES)
    raise TimeoutError(f"Restate accepts nothing {_TIMEOUT_S:g} s after its start")
