"""Measures workers in alternating rounds, prints rates, CPU and ratios. `python -m benchmarks.workers`.

A topic of four partitions is full of tasks before a worker starts. The rate is that of the results between the first
and the last one (the times that the worker's producer gave them), so starting, joining the group and the last commit do
not count. CPU is that of the worker's process from its start on, its own start taken out by a run with few tasks.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from benchmarks import machine
from benchmarks.environment import BenchmarkEnvironment, open_environment
from benchmarks.processes import cpu_seconds, require_running, running
from benchmarks.records import PARTITIONS, token_for, unknown_awakeable
from benchmarks.rounds import rotated
from kallback.protocol import TaskHeaders
from kallback.testing.servers.processes import ChildProcess

_TIMEOUT_S: Final = 300.0
_FEW: Final = 100


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


def _kit(client: str, concurrency: int) -> Way:
    variables = {"BENCH_CLIENT": client, "BENCH_CONCURRENCY": str(concurrency)}
    return Way(
        f"kallback {client} {concurrency}", ("kallback.cli", "worker", "benchmarks.workers.kit:worker"), variables
    )


def _loop(name: str, mode: str) -> Way:
    return Way(name, ("benchmarks.workers.loops", mode), {}, 0.2)


WAYS: Final = (
    *(_kit(client, concurrency) for client in ("aiokafka", "confluent") for concurrency in (16, 64, 256)),
    _loop("loop, commit each", "each"),
    _loop("loop, commit each second", "second"),
    _loop("FastStream, ack each", "faststream"),
)
OTHERS: Final = tuple(way.name for way in WAYS[-3:])


@dataclass(frozen=True)
class Figures:
    """What one worker did."""

    per_s: float
    cpu_us: float


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each worker, alternating (default 3)")
    parser.add_argument("--tasks", type=int, default=20_000, help="in the topic (default 20,000; a fifth for loops)")
    parser.add_argument("--only", default="", help="workers whose name contains this")
    options = parser.parse_args()
    ways = [way for way in WAYS if options.only in way.name]
    found: dict[str, list[Figures]] = {way.name: [] for way in ways}
    with open_environment() as environment:
        print(f"{machine.describe(environment.stack)}, load average {machine.load_average()}", flush=True)
        for number in range(1, options.rounds + 1):
            for way in rotated(ways, number):
                figures = _measure(environment, way, int(options.tasks * way.tasks))
                found[way.name].append(figures)
                print(f"  round {number} {way.name}: {figures.per_s:,.0f}/s, {figures.cpu_us:.0f} us", flush=True)
        print(f"load average {machine.load_average()}\n\n{as_text(found)}")


def _measure(environment: BenchmarkEnvironment, way: Way, count: int) -> Figures:
    _, start = _drain(environment, way, _FEW)
    took, cpu = _drain(environment, way, count)
    return Figures((count - 1) / took, (cpu - start) / (count - _FEW) * 1e6)


def _drain(environment: BenchmarkEnvironment, way: Way, count: int) -> tuple[float, float]:
    """Seconds between the first and the last result, and of CPU in all."""
    tasks = f"bench.tasks-{time.monotonic_ns()}"
    topics = environment.make_topics(tasks)
    _fill(environment, tasks, topics.results, count)
    env = {**environment.variables(topics), **way.variables, "BENCH_TASKS": tasks, "BENCH_RESULTS": topics.results}
    log = environment.log("worker")
    with running(way.name, list(way.command), env=env, log=log, ready=None) as child:
        times = _result_times(environment.stack.bootstrap_servers, topics.results, count, child)
        cpu = cpu_seconds(child.pid)
    return (max(times) - min(times)) / 1000, cpu


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


def _result_times(servers: str, topic: str, count: int, child: ChildProcess) -> list[int]:
    """When each result was written, in epoch milliseconds; read slowly, so that the worker has the machine."""
    with _reader(servers, topic) as reader:
        times, deadline = list[int](), time.monotonic() + _TIMEOUT_S
        while len(times) < count:
            require_running(child)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{child.name} gave {len(times)} of {count} results:\n{child.log_tail()}")
            time.sleep(0.2)
            times += [message.timestamp()[1] for message in reader.consume(count, 0.1) if message.error() is None]
    return times


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
    lines = [f"{'worker':28}{'tasks/s':>10}{'us/task':>10}" + "".join(f"{'/ ' + name:>28}" for name in others)]
    for name, rounds in found.items():
        rate, cpu = (statistics.median(getattr(each, field) for each in rounds) for field in ("per_s", "cpu_us"))
        ratios = [_ratio(rounds, found[other]) for other in others]
        lines.append(f"{name:28}{rate:>10,.0f}{cpu:>10.0f}" + "".join(f"{ratio:>28.1f}" for ratio in ratios))
    return "\n".join(lines)


def _ratio(rounds: list[Figures], others: list[Figures]) -> float:
    return statistics.median(one.per_s / other.per_s for one, other in zip(rounds, others, strict=True))


if __name__ == "__main__":
    main()
