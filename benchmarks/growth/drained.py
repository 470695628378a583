"""Drains of topics that differ in one thing. Each function opens its servers and yields what measures each point."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import httpx
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from benchmarks import drains
from benchmarks.environment import AUDIENCE, BenchmarkEnvironment, open_environment
from benchmarks.growth.curves import results_of, scaled, size_text
from benchmarks.poster import Poster
from benchmarks.processes import BridgeProcess
from benchmarks.records import PARTITIONS, VALUE, Writer, record_positions, value_of

PARTITION_COUNTS: Final = (1, 4, 16, 64)
VALUE_SIZES: Final = (100, 1_000, 10_000, 100_000, 900_000)
WAITING: Final = (0, 10_000, 50_000)
WAITING_FULL: Final = 200_000
BRIDGES: Final = (1, 2, 3)
_SHARED_PARTITIONS: Final = 12
"""Of the topic that bridges share: each gets as many."""
_BYTES: Final = 256_000_000
"""Of all values of a drain."""
_PER_HANDLER: Final = 100
_AT_ONCE: Final = 64
_TIMEOUT_S: Final = 900.0

Measure = Callable[[], dict[str, float]]
Points = dict[str, Measure]


@dataclass(frozen=True)
class Sizes:
    """How large a run is.

    Attributes:
        results: of a drain.
        mode: of the bridge's completer.
        full: the largest points, too.
        scale: the part of all sizes that is measured, to try it.
    """

    results: int
    mode: str = "ingress"
    full: bool = False
    scale: float = 1.0

    @property
    def count(self) -> int:
        """Results of a drain, as scaled."""
        return max(PARTITION_COUNTS[-1] * 2, int(self.results * self.scale))


@contextmanager
def partitions(sizes: Sizes) -> Generator[tuple[BenchmarkEnvironment, Points]]:
    """By the number of partitions of the results topic."""
    with open_environment() as environment:
        measure = partial(_drain, environment, sizes.mode, sizes.count)
        yield environment, {str(count): partial(measure, partitions=count) for count in PARTITION_COUNTS}


@contextmanager
def values(sizes: Sizes) -> Generator[tuple[BenchmarkEnvironment, Points]]:
    """By the size of a value."""
    with open_environment() as environment:
        yield (
            environment,
            {
                size_text(size): partial(
                    _drain,
                    environment,
                    sizes.mode,
                    results_of(size, sizes.count, int(_BYTES * sizes.scale)),
                    value=value_of(size),
                )
                for size in VALUE_SIZES
            },
        )


@contextmanager
def waiting(sizes: Sizes) -> Generator[tuple[BenchmarkEnvironment, Points]]:
    """By the number of tasks that wait: each in servers of their own, so that rounds alternate."""
    with ExitStack() as stack:
        levels = scaled((*WAITING, WAITING_FULL) if sizes.full else WAITING, sizes.scale)
        environments = {level: stack.enter_context(open_environment()) for level in levels}
        for level, environment in environments.items():
            began = time.monotonic()
            asyncio.run(_wait_for_tasks(environment, level // _PER_HANDLER))
            print(f"  {level:,} tasks wait after {time.monotonic() - began:.0f} s", flush=True)
        yield (
            environments[levels[0]],
            {f"{level:,}": partial(_drain, each, sizes.mode, sizes.count) for level, each in environments.items()},
        )


@contextmanager
def bridges(sizes: Sizes) -> Generator[tuple[BenchmarkEnvironment, Points]]:
    """By the number of bridges that share the topic."""
    with open_environment() as environment:
        measure = partial(_shared, environment, sizes.mode, sizes.count)
        yield environment, {str(number): partial(measure, number) for number in BRIDGES}


def _drain(
    environment: BenchmarkEnvironment, mode: str, count: int, *, partitions: int = PARTITIONS, value: bytes = VALUE
) -> dict[str, float]:
    full = drains.filled(environment, count, partitions=partitions, value=value)
    with _bridge(environment, mode, full) as process:
        return _figures(drains.drained(environment, full, [process]), len(value))


def _shared(environment: BenchmarkEnvironment, mode: str, count: int, number: int) -> dict[str, float]:
    """Start the bridges first; all results are there at once when they share the partitions."""
    full = drains.empty(environment, count, partitions=_SHARED_PARTITIONS)
    servers, results = environment.stack.bootstrap_servers, full.topics.results

    def fill() -> None:
        writer = Writer(servers, environment.keyring, AUDIENCE, transactional_id=results)
        with writer.at_once():
            writer.signed(results, record_positions(count, full.partitions), full.marked.awakeables)

    with ExitStack() as stack:
        processes = [stack.enter_context(_bridge(environment, mode, full)) for _ in range(number)]
        _wait_for_members(servers, f"{results}.bridge", number, full.partitions)
        return _figures(drains.drained(environment, full, processes, fill), len(VALUE))


def _bridge(environment: BenchmarkEnvironment, mode: str, full: drains.Full) -> BridgeProcess:
    return BridgeProcess(mode, env=environment.variables(full.topics), log=environment.log("bridge"))


def _figures(drain: drains.Drain, size: int) -> dict[str, float]:
    return {
        "per_s": drain.per_s,
        "mb_per_s": drain.per_s * size / 1e6,
        "cpu_us": drain.cpu_us,
        "peak_rss_mib": drain.peak_rss_mib,
    }


def _wait_for_members(servers: str, group: str, members: int, partitions: int) -> None:
    """Wait until so many members of a group have the partitions among them.

    Raises:
        TimeoutError: they do not.
    """
    admin: Any = AdminClient({"bootstrap.servers": servers, "log_level": 0})  # annotated in part only

    def shared() -> bool:
        try:
            found = admin.describe_consumer_groups([group])[group].result().members
        except KafkaException:  # its coordinator is not ready yet
            return False
        owned = [len(each.assignment.topic_partitions) for each in found if each.assignment is not None]
        return len(owned) == members and sum(owned) == partitions and max(owned) - min(owned) <= 1

    _until(f"{members} bridges to share {partitions} partitions", shared)


async def _wait_for_tasks(environment: BenchmarkEnvironment, handlers: int) -> None:
    """Start handlers that wait for a hundred tasks each, until all are suspended."""
    poster = Poster(environment.stack.ingress_url, connections=_AT_ONCE)
    left: Iterator[int] = iter(range(handlers))

    async def send() -> None:
        for _ in left:
            await poster.post("/Waiting/tasks/send", str(_PER_HANDLER).encode())

    await asyncio.gather(*(send() for _ in range(_AT_ONCE)))
    await poster.close()
    with httpx.Client(base_url=environment.stack.admin_url, timeout=60) as admin:
        _until(f"{handlers} handlers to be suspended", lambda: _suspended(admin) >= handlers)


def _suspended(admin: httpx.Client) -> int:
    query = "SELECT count(*) AS n FROM sys_invocation WHERE target = 'Waiting/tasks' AND status = 'suspended'"
    answer = admin.post("/query", json={"query": query}, headers={"accept": "application/json"})
    return answer.json()["rows"][0]["n"] if answer.is_success else 0  # it answers 429 at times


def _until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {_TIMEOUT_S:g} s for {what}")
        time.sleep(0.5)
