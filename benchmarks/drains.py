"""How fast a topic full of results is worked off: by the bridge in its modes, and by what people would use instead.

All of them complete the same kind of awakeables: ids of which Restate accepts completions, though nobody waits, save
for the first and the last record of each partition. The rate is that of the records between the first and the last
completion of those, so the start of a process, its joining the group and its last commit do not count.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx

from benchmarks.figures import Samples
from benchmarks.processes import BRIDGE_RUNS, bridge_command, cpu_seconds, has_completers, insist, running
from benchmarks.records import VALUE, Positions, edges, every, places, token_for, unknown_awakeable
from benchmarks.world import Marked, World
from kallback.protocol import Completed, seal
from kallback.settings import Topics

CONNECTIONS: Final = 64
_PATIENCE: Final = 300.0
_WRK_SECONDS: Final = 3
_WRK_REQUESTS: Final = 2_000
_REST: Final = 1.0
_NATIVE_STEP: Final = 100
_NO_NOTIFIER: Final = "this bridge has one way to complete only: `kallback bridge --help` shows no --completer"


@dataclass(frozen=True)
class Amounts:
    """How many results each way works off; the slow ones get fewer."""

    bridge: int = 20_000
    native: int = 5_000
    naive: int = 3_000


@dataclass(frozen=True)
class Drain:
    """What one drain by the bridge took."""

    per_s: float
    cpu_us: float


def measure(world: World, samples: Samples, amounts: Amounts) -> None:
    """One round: each way once, in turn."""
    ways: dict[str, Callable[[], None]] = {
        "ceiling": lambda: _ceiling(world, samples),
        "ingress": lambda: _bridge(world, samples, "ingress", amounts.bridge),
        "notifier": lambda: _bridge(world, samples, "notifier", amounts.bridge),
        "native": lambda: samples.add("drain.native_per_s", native(world, amounts.native)),
        "naive": lambda: samples.add("drain.naive_per_s", naive(world, amounts.naive)),
    }
    for way in ways.values():
        time.sleep(_REST)
        way()


def _bridge(world: World, samples: Samples, mode: str, count: int) -> None:
    if mode == "notifier" and not has_completers():
        samples.absent[f"drain.{mode}_per_s"] = samples.absent[f"drain.{mode}_cpu_us"] = _NO_NOTIFIER
        return
    drain = bridge(world, mode, count)
    samples.add(f"drain.{mode}_per_s", drain.per_s)
    samples.add(f"drain.{mode}_cpu_us", drain.cpu_us)


def bridge(world: World, mode: str, count: int) -> Drain:
    """Drain a full topic with `kallback bridge`."""
    topics, marked = filled(world, count)
    positions = Positions(world.stack.bootstrap_servers, f"{topics.results}.bridge", topics.results)
    log = world.log(f"bridge-{mode}")
    with running("bridge", bridge_command(mode), env=world.env(topics), log=log, ready=BRIDGE_RUNS) as process:
        before = cpu_seconds(process.pid)
        per_s = _rate(world, marked, count, lambda: insist(process))
        positions.wait(count, _PATIENCE)
        cpu = cpu_seconds(process.pid) - before
    positions.close()
    return Drain(per_s, cpu / count * 1e6)


def filled(world: World, count: int) -> tuple[Topics, Marked]:
    """A topic with so many signed results, the first and last ones marked."""
    topics = world.make_topics()
    marked = world.mark(edges(count))
    world.writer.signed(topics.results, places(count), marked.awakeables)
    return topics, marked


def native(world: World, count: int) -> float:
    """Have Restate's own subscription feed a handler that resolves."""
    topic = world.make_topics().prefix + "native"
    world.make_topics(topic)
    marked = world.mark(every(_NATIVE_STEP, count))  # its handlers run in any order: the edges alone would not do
    world.writer.plain(topic, places(count), marked.awakeables)
    with httpx.Client(base_url=world.stack.admin_url, timeout=30) as admin:
        cluster = {"name": "bench", "properties": {"bootstrap.servers": world.stack.bootstrap_servers}}
        admin.post("/kafka-clusters", json=cluster)  # refused from the second time on
        subscription = admin.post(
            "/subscriptions",
            json={
                "source": f"kafka://bench/{topic}",
                "sink": "service://Native/resolve",
                "options": {"auto.offset.reset": "earliest"},
            },
        )
        subscription.raise_for_status()
        try:
            return _rate(world, marked, count)
        finally:
            admin.delete(f"/subscriptions/{subscription.json()['id']}").raise_for_status()


def naive(world: World, count: int) -> float:
    """Poll, post, commit: `naive.py`."""
    topics, marked = filled(world, count)
    command = ["benchmarks.naive", topics.results]
    log = world.log("naive")
    with running("naive loop", command, env=world.env(topics), log=log, ready="reading") as process:
        return _rate(world, marked, count, lambda: insist(process))


def _rate(world: World, marked: Marked, count: int, check: Callable[[], None] = lambda: None) -> float:
    first, last = world.marks.span(marked.names.values(), _PATIENCE, check)
    return (count - 1) / (last - first)


def _ceiling(world: World, samples: Samples) -> None:
    try:
        samples.add("drain.ceiling_per_s", ceiling(world))
    except FileNotFoundError:
        samples.absent["drain.ceiling_per_s"] = "wrk is not installed"


def ceiling(world: World) -> float:
    """How many such posts Restate answers, whoever sends them: wrk with as many connections as the bridge has."""
    script = world.directory / "resolve.lua"
    script.write_text(_lua())
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{_WRK_SECONDS}s", "-s", str(script), world.stack.ingress_url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(f"wrk was refused: {out}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", out)
    if found is None:
        raise RuntimeError(f"wrk says nothing of requests: {out}")
    return float(found[1])


def _lua() -> str:
    """Posts to different awakeables in turn, with the bodies that the bridge would send."""
    lines = ["local posts = {}", "local headers = {['content-type'] = 'application/json'}"]
    for number in range(1, _WRK_REQUESTS + 1):
        token = token_for(unknown_awakeable())
        body = seal(token.task_id, token.attempt, Completed(VALUE)).decode()
        path = f"/restate/awakeables/{token.awakeable_id}/resolve"
        lines.append(f"posts[{number}] = wrk.format('POST', '{path}', headers, {json.dumps(body)})")
    lines += ["local at = 0", f"request = function() at = at % {_WRK_REQUESTS} + 1 return posts[at] end"]
    return "\n".join(lines)
