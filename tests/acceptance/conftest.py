"""An installation on the tests' servers: topics, environment variables, and processes as a user starts them."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kallback.settings import Topics
from kallback.testing import Stack, TopicFactory
from kallback.testing.clients.service_endpoint import ServiceProcess
from kallback.testing.servers.processes import ChildProcess

KALLBACK = str(Path(sys.executable).with_name("kallback"))


class Installation:
    """One that shares its servers with others.

    Attributes:
        env: the variables of its processes, without a key.
    """

    def __init__(self, stack: Stack, topics: TopicFactory, logs: Path) -> None:
        self._stack, self._topics, self._logs = stack, topics, logs
        self._running = ExitStack()
        self.env = {
            "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
            "KALLBACK_KAFKA_CONNECT_TIMEOUT": "60",  # a busy machine is no fault of what is tested
            "KALLBACK_RESTATE_INGRESS_URL": stack.ingress_url,
            "KALLBACK_RESTATE_ADMIN_URL": stack.admin_url,
            "KALLBACK_TOPICS_PREFIX": topics("acceptance") + ".",
        }

    def run(self, folder: Path, service: str, worker: str, task_topic: str) -> None:
        """Create the topics; start bridge, worker and service in a folder, without keys."""
        env = {**self.env, "KALLBACK_INSECURE": "1"}
        self._topics.make([*Topics(prefix=env["KALLBACK_TOPICS_PREFIX"]).all(), task_topic])
        for name, *arguments in (("bridge",), ("worker", worker)):
            command, log = [KALLBACK, name, *arguments], self._logs / f"{name}.log"
            process = ChildProcess(name, command, log=log, env={**os.environ, **env}, cwd=folder)
            self._running.callback(process.kill)
            process.start()
        served = ServiceProcess(service, self._stack.restate, env=env, cwd=folder)
        self._running.callback(served.close)
        served.start()

    def stop(self) -> None:
        """Kill what runs."""
        self._running.close()


@pytest.fixture
def installation(kallback_stack: Stack, topics_factory: TopicFactory, tmp_path: Path) -> Generator[Installation]:
    """One for this test."""
    installation = Installation(kallback_stack, topics_factory, tmp_path)
    yield installation
    installation.stop()
