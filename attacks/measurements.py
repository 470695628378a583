"""What is seen from outside: how long probes wait, how far groups have read, how large topics are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from attacks.programs import Program

_PROBE_EVERY_S: Final = 0.1
_PROBE_TIMEOUT_S: Final = 120.0
_KAFKA_TIMEOUT_S: Final = 10.0
_LEADER_S: Final = 30.0
_AGAIN_S: Final = 0.2
_MARKERS: Final = 2
"""Offsets before the end of a partition that may be no records: the markers of a transaction."""


class ProbeWatch:
    """Asks `/livez` of programs again and again, and knows the longest time without the answer 200.

    A connection that is refused or closed is no answer. While a program starts or stops, none is expected.
    """

    def __init__(self, programs: Iterable[Program]) -> None:
        self._programs = tuple(programs)
        self._tasks: list[asyncio.Task[None]] = []
        self._longest_s = 0.0
        self._asked: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        """Begin to ask."""
        self._tasks = [asyncio.create_task(self._watch(program)) for program in self._programs]
        return self

    async def __aexit__(self, *_: object) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def forget_the_past(self) -> None:
        """What is measured begins now."""
        self._longest_s = 0.0

    @property
    def waiting(self) -> bool:
        """Whether a question is open."""
        return bool(self._asked)

    def longest_wait(self) -> float:
        """Seconds, of answers and of open questions."""
        now = time.monotonic()
        return max(self._longest_s, *(now - began for began in self._asked.values()), 0.0)

    async def _watch(self, program: Program) -> None:
        while True:
            if program.serving:
                began = self._asked.setdefault(program.name, time.monotonic())
                if await _is_alive(program.port):
                    self._longest_s = max(self._longest_s, time.monotonic() - began)
                    del self._asked[program.name]
            else:
                self._asked.pop(program.name, None)
            await asyncio.sleep(_PROBE_EVERY_S)


async def _is_alive(port: int) -> bool:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
                return (await reader.read()).startswith(b"HTTP/1.1 200")
            finally:
                writer.close()
    return False


class GroupPositions:
    """Whether groups have committed all that lay in their topics when this was made; the clients never join.

    Args:
        groups: topics by the group that reads them.
    """

    def __init__(self, bootstrap_servers: str, groups: Mapping[str, str]) -> None:
        self._clients = {
            Consumer({"bootstrap.servers": bootstrap_servers, "group.id": group, "log_level": 0}): topic
            for group, topic in groups.items()
        }
        self._ends = {client: list(_ends(client, topic)) for client, topic in self._clients.items()}

    def behind(self) -> list[str]:
        """The partitions of which that is not so."""
        return [
            f"{end.topic}[{end.partition}] {committed.offset} of {end.offset}"
            for client, ends in self._ends.items()
            for end, committed in zip(ends, client.committed(ends, _KAFKA_TIMEOUT_S), strict=True)
            if max(committed.offset, 0) + _MARKERS < end.offset
        ]

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients:
            client.close()


def end_offsets(bootstrap_servers: str, topic: str, isolation: str = "read_uncommitted") -> int:
    """The number of offsets of a topic, over all its partitions."""
    client = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "attacks-ends",
            "isolation.level": isolation,
            "log_level": 0,
        }
    )
    try:
        return sum(end.offset for end in _ends(client, topic))
    finally:
        client.close()


def _ends(client: Consumer, topic: str) -> Iterable[TopicPartition]:
    for number in client.list_topics(topic, _KAFKA_TIMEOUT_S).topics[topic].partitions:
        yield TopicPartition(topic, number, _end(client, TopicPartition(topic, number)))


def _end(client: Consumer, partition: TopicPartition) -> int:
    """The end of a partition; one of a new topic may get its leader just now."""
    ends = time.monotonic() + _LEADER_S
    while True:
        try:
            return client.get_watermark_offsets(partition, _KAFKA_TIMEOUT_S)[1]
        except KafkaException:
            if time.monotonic() > ends:
                raise
        time.sleep(_AGAIN_S)


def stored_bytes(kafka: Path, topics: Iterable[str]) -> Counter[str]:
    """Bytes of the segments of each topic in a broker's data directory.

    The directory of a partition that Kafka deletes has another name, `TOPIC-0.ID-delete`, and may vanish meanwhile.
    """
    wanted, sizes = frozenset(topics), Counter[str]()
    for directory, _, files in os.walk(kafka):
        topic, _, partition = Path(directory).name.rpartition("-")
        if topic in wanted and partition.isdecimal():
            sizes[topic] += sum(_size(Path(directory, name)) for name in files if name.endswith(".log"))
    return sizes


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
