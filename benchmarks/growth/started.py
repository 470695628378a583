"""How long a bridge takes from its start to its first completion, with much that was written to its topic before.

The history is of results whose deadline has passed, as in a topic that is kept for a week. A group that has committed
its end does not read it. A new group reads all of it, counts it as history, and then comes to the new result.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from benchmarks.environment import BenchmarkEnvironment, open_environment
from benchmarks.growth.curves import scaled
from benchmarks.growth.drained import Points, Sizes
from benchmarks.processes import BridgeProcess, require_running
from benchmarks.records import PARTITIONS, RecordPosition, record_positions
from kallback.settings import Topics

HISTORY: Final = (0, 100_000)
HISTORY_FULL: Final = 1_000_000
_AGO_S: Final = -3_600.0
_TIMEOUT_S: Final = 600.0
_NEW: Final[RecordPosition] = (0, 0)


@contextmanager
def history(sizes: Sizes) -> Generator[tuple[BenchmarkEnvironment, Points]]:
    """By the number of records that were written before."""
    levels = scaled((*HISTORY, HISTORY_FULL) if sizes.full else HISTORY, sizes.scale)
    numbers = itertools.count()
    with open_environment() as environment:
        points: Points = {}
        for level in levels:
            topics = environment.make_topics()
            environment.writer.signed(topics.results, record_positions(level), {}, deadline_in_s=_AGO_S)
            points[f"{level:,}"] = partial(_both, environment, sizes.mode, topics, numbers)
        yield environment, points


def _both(environment: BenchmarkEnvironment, mode: str, topics: Topics, numbers: Iterator[int]) -> dict[str, float]:
    group = f"growth-{next(numbers)}"
    _commit_ends(environment.stack.bootstrap_servers, f"{group}-committed", topics.results)
    return {
        f"{kind}_s": _first_completion(environment, mode, topics, f"{group}-{kind}") for kind in ("committed", "new")
    }


def _first_completion(environment: BenchmarkEnvironment, mode: str, topics: Topics, group: str) -> float:
    """Seconds from the start of the process to the completion of a new result at the end of a partition."""
    marked = environment.mark([_NEW])
    environment.writer.signed(topics.results, iter([_NEW]), marked.awakeables)
    env, log = environment.variables(topics), environment.log("bridge")
    process = BridgeProcess(mode, "--group", group, env=env, log=log)
    began = time.monotonic()
    with process:
        first, _ = environment.marks.span(marked.names.values(), _TIMEOUT_S, lambda: require_running(process.child))
    return first - began


def _commit_ends(servers: str, group: str, topic: str) -> None:
    client = Consumer({"bootstrap.servers": servers, "group.id": group, "log_level": 0})
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    ends = [client.get_watermark_offsets(each, timeout=10)[1] for each in partitions]
    offsets = [TopicPartition(topic, each.partition, end) for each, end in zip(partitions, ends, strict=True)]
    client.commit(offsets=offsets, asynchronous=False)
    client.close()
