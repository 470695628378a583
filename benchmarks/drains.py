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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from benchmarks.environment import BenchmarkEnvironment, Marked
from benchmarks.figures import Samples
from benchmarks.processes import (
    THIS,
    BridgeProcess,
    Checkout,
    cpu_seconds,
    has_completers,
    require_running,
    rss_mib,
    running,
)
from benchmarks.records import (
    PARTITIONS,
    VALUE,
    CommittedPositions,
    edges,
    every,
    record_positions,
    token_for,
    unknown_awakeable,
)
from benchmarks.rounds import rotated
from kallback.protocol import Completed, seal
from kallback.settings import Topics

CONNECTIONS: Final = 64
_TIMEOUT_S: Final = 300.0
_WRK_SECONDS: Final = 3
_WRK_REQUESTS: Final = 2_000
_REST: Final = 1.0
_NATIVE_STEP: Final = 100
_NO_NOTIFIER: Final = "this bridge has one way to complete only: `kallback bridge --help` shows no --completer"


@dataclass(frozen=True)
class DrainSizes:
    """How many results each way works off; the slow ones get fewer.

    A bridge needs five seconds for its own: the first second, in which batches, connections and the service's process
    begin, is a small part of it.
    """

    bridge: int = 100_000
    native: int = 5_000
    naive: int = 3_000


@dataclass(frozen=True)
class Full:
    """A topic that is full of results, the first and last ones of each partition marked."""

    topics: Topics
    marked: Marked
    count: int
    partitions: int


@dataclass(frozen=True)
class Drain:
    """What one drain by the bridge took.

    Attributes:
        peak_rss_mib: of the largest process, if several bridges shared the topic.
    """

    per_s: float
    cpu_us: float
    peak_rss_mib: float = 0.0


def measure(environment: BenchmarkEnvironment, samples: Samples, sizes: DrainSizes, number: int) -> None:
    """Round `number`: each way once, beginning with another one than the round before."""
    ways: dict[str, Callable[[], None]] = {
        "ceiling": lambda: _ceiling(environment, samples),
        "ingress": lambda: _bridge(environment, samples, "ingress", sizes.bridge),
        "notifier": lambda: _bridge(environment, samples, "notifier", sizes.bridge),
        "native": lambda: samples.add("drain.native_per_s", native(environment, sizes.native)),
        "naive": lambda: samples.add("drain.naive_per_s", naive(environment, sizes.naive)),
    }
    for name in rotated(list(ways), number):
        time.sleep(_REST)
        ways[name]()


def _bridge(environment: BenchmarkEnvironment, samples: Samples, mode: str, count: int) -> None:
    if mode == "notifier" and not has_completers():
        samples.absent[f"drain.{mode}_per_s"] = samples.absent[f"drain.{mode}_cpu_us"] = _NO_NOTIFIER
        return
    drain = bridge(environment, mode, count)
    samples.add(f"drain.{mode}_per_s", drain.per_s)
    samples.add(f"drain.{mode}_cpu_us", drain.cpu_us)


def bridge(environment: BenchmarkEnvironment, mode: str, count: int, checkout: Checkout = THIS) -> Drain:
    """Drain a full topic with a checkout's `kallback bridge`."""
    full = filled(environment, count)
    with BridgeProcess(
        mode, env=environment.variables(full.topics), log=environment.log(f"bridge-{mode}"), checkout=checkout
    ) as process:
        return drained(environment, full, [process])


def drained(
    environment: BenchmarkEnvironment,
    full: Full,
    bridges: Sequence[BridgeProcess],
    fill: Callable[[], None] = lambda: None,
) -> Drain:
    """Wait until bridges, which have just been started, have drained a topic; `fill` fills it if it is empty."""

    def check() -> None:
        for each in bridges:
            require_running(each.child)

    results = full.topics.results
    group = CommittedPositions(environment.stack.bootstrap_servers, f"{results}.bridge", results, full.partitions)
    before = sum(cpu_seconds(each.pid) for each in bridges)
    fill()
    per_s = _rate(environment, full.marked, full.count, check)
    group.wait(full.count, _TIMEOUT_S)
    cpu = sum(cpu_seconds(each.pid) for each in bridges) - before
    group.close()
    peak = max(rss_mib(each.pid, "VmHWM") for each in bridges)
    return Drain(per_s, cpu / full.count * 1e6, peak)


def filled(
    environment: BenchmarkEnvironment, count: int, *, partitions: int = PARTITIONS, value: bytes = VALUE
) -> Full:
    """A topic with so many signed results."""
    full = empty(environment, count, partitions=partitions)
    where = record_positions(count, partitions)
    environment.writer.signed(full.topics.results, where, full.marked.awakeables, value)
    return full


def empty(environment: BenchmarkEnvironment, count: int, *, partitions: int = PARTITIONS) -> Full:
    """A topic that is yet to be filled with so many results; the handlers of the marked ones wait."""
    topics = environment.make_topics(partitions=partitions)
    return Full(topics, environment.mark(edges(count, partitions)), count, partitions)


def native(environment: BenchmarkEnvironment, count: int) -> float:
    """Have Restate's own subscription feed a handler that resolves."""
    topic = environment.make_topics().prefix + "native"
    environment.make_topics(topic)
    marked = environment.mark(every(_NATIVE_STEP, count))  # its handlers run in any order: the edges alone would not do
    environment.writer.plain(topic, record_positions(count), marked.awakeables)
    with httpx.Client(base_url=environment.stack.admin_url, timeout=30) as admin:
        cluster = {"name": "bench", "properties": {"bootstrap.servers": environment.stack.bootstrap_servers}}
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
            return _rate(environment, marked, count)
        finally:
            admin.delete(f"/subscriptions/{subscription.json()['id']}").raise_for_status()


def naive(environment: BenchmarkEnvironment, count: int) -> float:
    """Poll, post, commit: `naive.py`."""
    full = filled(environment, count)
    command, env = ["benchmarks.naive", full.topics.results], environment.variables(full.topics)
    with running("naive loop", command, env=env, log=environment.log("naive"), ready="reading") as process:
        return _rate(environment, full.marked, count, lambda: require_running(process))


def _rate(
    environment: BenchmarkEnvironment, marked: Marked, count: int, check: Callable[[], None] = lambda: None
) -> float:
    first, last = environment.marks.span(marked.names.values(), _TIMEOUT_S, check)
    return (count - 1) / (last - first)


def _ceiling(environment: BenchmarkEnvironment, samples: Samples) -> None:
    try:
        samples.add("drain.ceiling_per_s", ceiling(environment))
    except FileNotFoundError:
        samples.absent["drain.ceiling_per_s"] = "wrk is not installed"


def ceiling(environment: BenchmarkEnvironment) -> float:
    """How many such posts Restate answers, whoever sends them: wrk with 64 connections of HTTP/1.1."""
    script = environment.directory / "resolve.lua"
    script.write_text(_lua())
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{_WRK_SECONDS}s", "-s", str(script), environment.stack.ingress_url]
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
