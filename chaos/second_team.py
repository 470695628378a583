"""A second team on the same Kafka and Restate: its own prefix, keys, service, bridge and worker.

It runs the same programs as the first team, and its tasks are few. Its worker is killed in the middle of a long one:
its own bridge and its own `TaskMonitor` must notice, and nothing of either team may reach the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from chaos.programs import WORKER, bridge_command, new_keys, process_of, service_command
from chaos.topics import make_topics
from chaos.work import RUNS, SECOND_TEAM, foreign, long_work, process_work, work
from kallback.kafka.topics import TopicLayout
from kallback.settings import Settings
from kallback.testing.servers.ports import accepts, free_ports

_PARTITIONS: Final = 2
_POLL_S: Final = 0.1
_WORKS_FOR_S: Final = 2.0
"""Longer than a worker takes to commit that it has begun."""


class SecondTeam:
    """Its processes and settings; the stage starts and ends them.

    Attributes:
        directory: of what its handlers and its worker note.
    """

    def __init__(self, first: Mapping[str, str], logs: Path, completer: str) -> None:
        self.directory = logs / "second"
        self.directory.mkdir()
        self._port = free_ports(1)[0]
        environment = {
            **first,
            "CHAOS_TEAM": SECOND_TEAM,
            "CHAOS_DIRECTORY": str(self.directory),
            "KALLBACK_TOPICS_PREFIX": SECOND_TEAM,
            "KALLBACK_KEYS": new_keys("second"),
        }
        self.settings = Settings.from_env(environment)
        self.service = process_of("second-service", service_command(self._port), environment, logs)
        self.bridge = process_of("second-bridge", bridge_command(completer, None), environment, logs)
        self.worker = process_of("second-worker", WORKER, environment, logs)
        self.processes = (self.service, self.bridge, self.worker)

    @property
    def address(self) -> str:
        """Of its service."""
        return f"http://127.0.0.1:{self._port}"

    async def make_topics(self) -> None:
        """Create them."""
        topics = [f"{SECOND_TEAM}{each.topic}" for each in (work, long_work, process_work, foreign)]
        await make_topics(self.settings, TopicLayout(partitions=_PARTITIONS), topics)

    async def serves(self) -> None:
        """Wait until its service listens."""
        await asyncio.to_thread(self.service.wait_ready, lambda: accepts(self._port))

    async def at_work(self, long_jobs: frozenset[int]) -> int:
        """Wait until its worker is in the middle of a long task that it begins from now on; return its number."""
        known = len(self._begun())
        while not (new := [number for number in self._begun()[known:] if number in long_jobs]):  # noqa: ASYNC110 - a file
            await asyncio.sleep(_POLL_S)
        await asyncio.sleep(_WORKS_FOR_S)
        return new[-1]

    def _begun(self) -> list[int]:
        file = self.directory / RUNS
        lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
        return [int(line.split()[0]) for line in lines if line]
