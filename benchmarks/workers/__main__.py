"""Measures workers in alternating rounds, prints rates, CPU and ratios. `python -m benchmarks.workers`.

A topic of four partitions is full of tasks before a worker starts. The times are those that the worker's producer gave
its results, so starting and joining the group do not count. The rate of the first five seconds is a figure of its own:
processes and servers warm up, and the worker kit may have to commit each start before a task begins. The rate and the
CPU of a task are those of the seconds behind it.
"""

from __future__ import annotations

import argparse
import bisect
import json
import statistics
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from benchmarks import machine
from benchmarks.environment import BenchmarkEnvironment, open_environment
from benchmarks.processes import Checkout, cpu_seconds, require_running, running
from benchmarks.records import PARTITIONS, token_for, unknown_awakeable
from benchmarks.rounds import rotated
from kallback.protocol import TaskHeaders
from kallback.testing.servers.processes import ChildProcess

_TIMEOUT_S: Final = 300.0
_EARLY_MS: Final = 5_000
_BEGIN_MS: Final = 6_000
"""After the first result; behind the first seconds, and a moment for the change."""
_LEAST_MS: Final = 1_000


@dataclass(frozen=True)
class Way:
    """One kind of worker.

    Attributes:
        command: as for `python -m`.
        variables: for its process.
        tasks: the part of all tasks that it gets, because it is slow.
    """

    name: str
    command: tuple[str, ...]
    variables: Mapping[str, str]
    tasks: float = 1.0


def _kit(client: str, concurrency: int, checkout: Checkout | None = None) -> Way:
    variables = {"BENCH_CLIENT": client, "BENCH_CONCURRENCY": str(concurrency)}
    name = f"{client} {concurrency}"
    return Way(
        f"kallback {name}" if checkout is None else f"against: {name}",
        ("kallback.cli", "worker", "benchmarks.workers.kit:worker"),
        variables if checkout is None else variables | checkout.variables,
    )


def _kits(checkout: Checkout | None = None) -> tuple[Way, ...]:
    return tuple(_kit(client, number, checkout) for client in ("aiokafka", "confluent") for number in (16, 64, 256))


def _loop(name: str, mode: str) -> Way:
    return Way(name, ("benchmarks.workers.loops", mode), {}, 0.25)


LOOPS: Final = (
    _loop("loop, commit each", "each"),
    _loop("loop, commit each second", "second"),
    _loop("FastStream, ack each", "faststream"),
)
OTHERS: Final = tuple(way.name for way in LOOPS)


@dataclass(frozen=True)
class Figures:
    """What one worker did.

    Attributes:
        early_per_s: in the first five seconds.
        per_s: later.
        cpu_us: of a task, later.
    """

    early_per_s: float
    per_s: float
    cpu_us: float


class CpuSample(NamedTuple):
    """CPU seconds of the worker's process at a time, in epoch milliseconds."""

    at_ms: float
    cpu_s: float


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each worker, alternating (default 3)")
    parser.add_argument(
        "--tasks", type=int, default=100_000, help="in the topic (default 100,000; a quarter for loops)"
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="to measure, after the first six (default 6)")
    parser.add_argument("--only", default="", help="workers whose name contains one of these, separated by |")
    parser.add_argument("--against", type=Path, help="measure the worker kit of this checkout, too")
    options = parser.parse_args()
    against = () if options.against is None else _kits(_checkout(options.against))
    ways = [way for way in (*_kits(), *against, *LOOPS) if any(it in way.name for it in options.only.split("|"))]
    found: dict[str, list[Figures]] = {way.name: [] for way in ways}
    with open_environment() as environment:
        print(f"{machine.describe(environment.stack)}, load average {machine.load_average()}", flush=True)
        for number in range(1, options.rounds + 1):
            for way in rotated(ways, number):
                figures = _measure(environment, way, int(options.tasks * way.tasks), options.seconds * 1000)
                found[way.name].append(figures)
                print(
                    f"  round {number} {way.name}: {figures.per_s:,.0f}/s, {figures.cpu_us:.0f} us, "
                    f"first seconds {figures.early_per_s:,.0f}/s, load average {machine.load_average()}",
                    flush=True,
                )
        print(f"load average {machine.load_average()}\n\n{as_text(found)}")


def _checkout(path: Path) -> Checkout:
    checkout = Checkout(path.resolve())
    checkout.require_own_package()
    return checkout


def _measure(environment: BenchmarkEnvironment, way: Way, count: int, measured_ms: float) -> Figures:
    tasks = f"bench.tasks-{time.monotonic_ns()}"
    topics = environment.make_topics(tasks)
    _fill(environment, tasks, topics.results, count)
    env = {**environment.variables(topics), **way.variables, "BENCH_TASKS": tasks, "BENCH_RESULTS": topics.results}
    log = environment.log("worker")
    with (
        running(way.name, list(way.command), env=env, log=log, ready=None) as child,
        _reader(environment.stack.bootstrap_servers, topics.results) as reader,
    ):
        times, samples = _follow(reader, child, count, _BEGIN_MS + measured_ms)
    return figures_of(times, samples, measured_ms)


def _follow(
    reader: Consumer, child: ChildProcess, count: int, until_ms: float
) -> tuple[Sequence[int], Sequence[CpuSample]]:
    """When results were written, in epoch milliseconds, until so long after the first one; and the CPU meanwhile.

    The topic is read slowly, so that the worker has the machine.
    """
    times, samples = list[int](), list[CpuSample]()
    deadline = time.monotonic() + _TIMEOUT_S
    while len(times) < count and (not times or max(times) < min(times) + until_ms):
        require_running(child)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{child.name} gave {len(times)} of {count} results:\n{child.log_tail()}")
        time.sleep(0.2)
        samples.append(CpuSample(time.time() * 1000, cpu_seconds(child.pid)))
        times += [message.timestamp()[1] for message in reader.consume(count, 0.1) if message.error() is None]
    return sorted(times), samples


def figures_of(times: Sequence[int], samples: Sequence[CpuSample], measured_ms: float) -> Figures:
    """Rates of the first seconds and of the later ones, and the CPU of a task in these.

    Raises:
        ValueError: all tasks were done too early.
    """
    begin = times[0] + _BEGIN_MS
    end = min(begin + measured_ms, times[-1])
    if end - begin < min(_LEAST_MS, measured_ms):
        raise ValueError("all tasks were done in the first seconds: measure with more --tasks")
    within = [each for each in samples if begin <= each.at_ms <= end]
    cpu_s = within[-1].cpu_s - within[0].cpu_s
    early = bisect.bisect(times, times[0] + _EARLY_MS)
    return Figures(
        early / _EARLY_MS * 1000,
        _between(times, begin, end) / (end - begin) * 1000,
        cpu_s / max(1, _between(times, within[0].at_ms, within[-1].at_ms)) * 1e6,
    )


def _between(times: Sequence[int], begin: float, end: float) -> int:
    return bisect.bisect(times, end) - bisect.bisect(times, begin)


def _fill(environment: BenchmarkEnvironment, tasks: str, results: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": environment.stack.bootstrap_servers, "linger.ms": 20, "log_level": 0})
    for number in range(count):
        token = token_for(unknown_awakeable())
        headers = TaskHeaders(
            token=environment.keyring.sign(token, "bench"),
            task_id=token.task_id,
            attempt=token.attempt,
            task_type=tasks,
            reply_to=results,
            deadline_ms=token.deadline_ms,
        )
        value = json.dumps(f"order {number}").encode()
        producer.produce(tasks, value, partition=number % PARTITIONS, headers=[*headers.encode()])
        if number % 1000 == 0:
            producer.poll(0)
    if producer.flush(60):
        raise RuntimeError("not all tasks were written")


@contextmanager
def _reader(servers: str, topic: str) -> Generator[Consumer]:
    reader = Consumer({"bootstrap.servers": servers, "group.id": "times", "log_level": 0})
    reader.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
    try:
        yield reader
    finally:
        reader.close()


def as_text(found: Mapping[str, list[Figures]]) -> str:
    """A table: medians, and the ratios of rates within rounds to each of the others."""
    others = [name for name in OTHERS if found.get(name)]
    title = f"{'worker':28}{'tasks/s':>10}{'us/task':>10}{'first 5 s':>12}"
    lines = [title + "".join(f"{'/ ' + name:>28}" for name in others)]
    for name, rounds in found.items():
        fields = ("per_s", "cpu_us", "early_per_s")
        rate, cpu, early = (statistics.median(getattr(each, field) for each in rounds) for field in fields)
        ratios = [_ratio(rounds, found[other]) for other in others]
        columns = f"{name:28}{rate:>10,.0f}{cpu:>10.0f}{early:>12,.0f}"
        lines.append(columns + "".join(f"{ratio:>28.1f}" for ratio in ratios))
    return "\n".join(lines)


def _ratio(rounds: list[Figures], others: list[Figures]) -> float:
    return statistics.median(one.per_s / other.per_s for one, other in zip(rounds, others, strict=True))


if __name__ == "__main__":
    main()
