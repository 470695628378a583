"""What a crash costs: the bridge killed at full load, Restate away for ten seconds.

One partition of the results topic stays empty until then. What is written there meanwhile cannot have been on its way
before, so its completion shows that completions have resumed, however much of the other partitions is sent again. How
far those had come is told by one marked record in `STEP`.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import httpx

from benchmarks.figures import Samples
from benchmarks.processes import BRIDGE_RUNS, bridge_command, running, start
from benchmarks.records import PARTITIONS, Place, Positions, every, places, unknown_awakeable
from benchmarks.world import Marked, World
from kallback.settings import Topics

STEP: Final = 100
BUSY: Final = PARTITIONS - 1
"""Partitions that are full; the last one is the quiet one."""

NEWS: Final[Place] = (BUSY, 0)
"""The one record of the quiet partition."""

_AWAY: Final = 10.0
_FULL_LOAD: Final = 0.4
"""The kill comes when this part of the records is completed."""
_PATIENCE: Final = 120.0
_BETWEEN_PROBES: Final = 0.02


@dataclass(frozen=True)
class Load:
    """A full topic, and the marks in it."""

    topics: Topics
    marked: Marked
    positions: Positions


def measure(world: World, samples: Samples, count: int) -> None:
    """One round: both crashes."""
    _bridge_killed(world, samples, count)
    _restate_away(world, samples, count)


def _bridge_killed(world: World, samples: Samples, count: int) -> None:
    load = _filled(world, count)
    command = bridge_command("ingress", "--instance-id", "bench-0")
    log = world.log("bridge-killed")
    with running("bridge", command, env=world.env(load.topics), log=log, ready=BRIDGE_RUNS) as process:
        _await_full_load(world, load, count)
        process.kill()
        time.sleep(1.0)  # what is on its way arrives
        completed = _completed_positions(world, load)
        committed = load.positions.read()[:BUSY]
        samples.add(
            "recovery.resent", sum(max(0, ours - theirs) for ours, theirs in zip(completed, committed, strict=True))
        )
        news = world.mark([NEWS])
        world.writer.signed(load.topics.results, iter([NEWS]), news.awakeables)
        began = time.monotonic()
        start(process, BRIDGE_RUNS)
        first, _ = world.marks.span(news.names.values(), _PATIENCE)
        samples.add("recovery.resume_s", first - began)
        load.positions.wait(count + 1, _PATIENCE)
    load.positions.close()


def _restate_away(world: World, samples: Samples, count: int) -> None:
    load = _filled(world, count)
    log = world.log("bridge-waiting")
    env = world.env(load.topics)
    with running("bridge", bridge_command("ingress"), env=env, log=log, ready=BRIDGE_RUNS):
        _await_full_load(world, load, count)
        news = world.mark([NEWS])
        world.stack.restate.kill()
        world.writer.signed(load.topics.results, iter([NEWS]), news.awakeables)
        time.sleep(_AWAY)
        world.stack.restate.start()
        back = _accepts(world)
        first, _ = world.marks.span(news.names.values(), _PATIENCE)
        samples.add("recovery.restate_down_s", max(0.0, first - back))
        load.positions.wait(count + 1, _PATIENCE)
    load.positions.close()


def _filled(world: World, count: int) -> Load:
    topics = world.make_topics()
    marked = world.mark(every(STEP, count, BUSY))
    world.writer.signed(topics.results, places(count, BUSY), marked.awakeables)
    return Load(topics, marked, Positions(world.stack.bootstrap_servers, f"{topics.results}.bridge", topics.results))


def _await_full_load(world: World, load: Load, count: int) -> None:
    wanted = int(count / STEP * _FULL_LOAD)
    names = set(load.marked.names.values())
    world.marks.until("full load", lambda: len(names & world.marks.completed().keys()) >= wanted, _PATIENCE)


def _completed_positions(world: World, load: Load) -> list[int]:
    """How far each busy partition has come, within `STEP` records."""
    completed = world.marks.completed()
    return [
        max(
            (place[1] for place, name in load.marked.names.items() if place[0] == number and name in completed),
            default=0,
        )
        for number in range(BUSY)
    ]


def _accepts(world: World) -> float:
    """Wait until Restate accepts a completion of ours: healthy, it may still answer 503. When that was."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            path = f"/restate/awakeables/{unknown_awakeable()}/resolve"
            if httpx.post(world.stack.ingress_url + path, json=None, timeout=1).is_success:
                return time.monotonic()
        time.sleep(_BETWEEN_PROBES)
    raise TimeoutError(f"Restate accepts nothing {_PATIENCE:g} s after its start")
