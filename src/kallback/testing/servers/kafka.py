"""Apache Kafka as a local process: one node that is broker and controller (KRaft)."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from kallback.testing.errors import NotOursError, ServerStartError
from kallback.testing.servers.ports import with_free_ports
from kallback.testing.servers.processes import START_TIMEOUT_S, ChildProcess, make_tree, remove_tree
from kallback.testing.software.kafka import KAFKA_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kallback.testing.software.kafka import KafkaSoftware

ANSWER_TIMEOUT_S = 10.0  # for a server that was given by its address
SINGLE_NODE: Final[dict[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "broker.heartbeat.interval.ms": "400",
    "broker.session.timeout.ms": "6000",  # a killed broker may register again only after it; a starved one is fenced
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
} | {
    f"{topic}.{name}": "1"
    for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    for name in ("replication.factor", "min.isr", "num.partitions")
    if (topic, name) != ("offsets.topic", "min.isr")  # there is no such property
}
"""Server properties of a test broker, without its addresses and its data directory."""

_CLUSTER_ID = "a2FsbGJhY2stdGVzdGluZw"  # 22 characters of base64: all that `format` asks for


class LocalKafka:
    """A broker that this process starts, on 127.0.0.1, with its own data directory.

    Args:
        software: Java and jars.
        port: where it listens; by default a free port.
        properties: server properties, added to the defaults.
        keep: keep the data directory after `close`.
        directory: a data directory to go on with, or to begin with, which is kept; by default a new one.
        options: JVM options in place of the class archive's.
        start_timeout: seconds in which it must answer.
    """

    def __init__(
        self,
        software: KafkaSoftware,
        *,
        port: int | None = None,
        properties: Mapping[str, str] | None = None,
        keep: bool = False,
        directory: Path | None = None,
        options: tuple[str, ...] = (),
        start_timeout: float = START_TIMEOUT_S,
    ) -> None:
        self._start_timeout = start_timeout
        self._software = software
        self._wanted = (port, None)
        self._ports: tuple[int, ...] | None = None
        self._properties = dict(properties or {})
        self._keep = keep or directory is not None
        self._options = options
        self._tree = directory
        self._process: ChildProcess | None = None

    @property
    def directory(self) -> Path:
        """Data, `server.properties` and `kafka.log`."""
        if self._tree is None:
            self._tree = make_tree("kafka", keep=self._keep)
        return self._tree

    @property
    def bootstrap_servers(self) -> str:
        """The broker's address.

        Raises:
            ServerStartError: it was never started, so it has no port yet.
        """
        if self._ports is None:
            raise ServerStartError("Kafka has no address before its first start: call start().")
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def description(self) -> str:
        """What runs, where."""
        return f"Apache Kafka {KAFKA_VERSION} on {self.bootstrap_servers} (process {self._child.pid}, {self.directory})"

    @property
    def _child(self) -> ChildProcess:
        if self._process is None:
            command = self._software.command("kafka.Kafka", str(self._config), options=self._options)
            self._process = ChildProcess("Kafka", command, log=self.directory / "kafka.log")
        return self._process

    @property
    def _config(self) -> Path:
        return self.directory / "server.properties"

    def start(self) -> None:
        """Start it, or start it again with its ports and data; return when it answers a client.

        Raises:
            ServerStartError: it does not start.
        """
        if self._ports is None:
            self._ports = with_free_ports(self._wanted, self._first_start)
        else:
            self._run(self._ports[0])

    def stop(self) -> None:
        """Ask it to shut down and wait for that."""
        self._child.stop(grace=30)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._child.kill()

    def pause(self) -> None:
        """Freeze it."""
        self._child.pause()

    def resume(self) -> None:
        """Unfreeze it."""
        self._child.resume()

    def close(self) -> None:
        """Kill it and remove its data; if the data is kept, shut it down first."""
        if self._process is not None:
            if self._keep:
                self.stop()
            self.kill()
        if self._tree is not None and not self._keep:
            remove_tree(self._tree)
            self._tree = self._process = self._ports = None

    def _first_start(self, ports: tuple[int, ...]) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = (_server_properties(ports[0], ports[1], self.directory / "data") | self._properties).items()
        self._config.write_text("".join(f"{name}={value}\n" for name, value in lines))
        if not (self.directory / "data" / "meta.properties").exists():
            self._format()
        try:
            self._run(ports[0])
        except ServerStartError:
            self._child.kill()
            raise

    def _format(self) -> None:
        shutil.rmtree(self.directory / "data", ignore_errors=True)
        arguments = ("format", "--standalone", "-t", _CLUSTER_ID, "-c", str(self._config))
        command = self._software.command("kafka.tools.StorageTool", *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
        if done.returncode:
            raise ServerStartError(f"Kafka's data directory could not be formatted:\n{done.stdout}{done.stderr}")

    def _run(self, port: int) -> None:
        self._child.start()
        probe = KafkaProbe(f"127.0.0.1:{port}")
        self._child.wait_ready(probe.answers, timeout=self._start_timeout)


class GivenKafka:
    """A Kafka that runs already, given by its address."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers

    @property
    def bootstrap_servers(self) -> str:
        """The given address."""
        return self._bootstrap_servers

    @property
    def description(self) -> str:
        """What is used, where."""
        return f"Kafka as given, on {self._bootstrap_servers}"

    def start(self) -> None:
        """Check that it answers.

        Raises:
            ServerStartError: it does not within `ANSWER_TIMEOUT_S`.
        """
        probe = KafkaProbe(self._bootstrap_servers)
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while not probe.answers():
            if time.monotonic() > deadline:
                raise ServerStartError(
                    f"No Kafka answers on {self._bootstrap_servers}: start it, or unset KALLBACK_TEST_KAFKA."
                )

    def stop(self) -> None:
        """Refuse: this process did not start it."""
        raise NotOursError(f"Kafka on {self._bootstrap_servers} was given by its address: stop it where it runs.")

    kill = pause = resume = stop

    def close(self) -> None:
        """Leave it alone."""


class KafkaProbe:
    """Asks for the cluster's brokers with a real client."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._client = AdminClient(
            {"bootstrap.servers": bootstrap_servers, "reconnect.backoff.max.ms": 100, "log_level": 0}
        )

    def answers(self) -> bool:
        """Return whether a broker answers within half a second."""
        try:
            return bool(self._client.list_topics(timeout=0.5).brokers)
        except KafkaException:
            return False


def _server_properties(port: int, controller: int, data: Path) -> dict[str, str]:
    return SINGLE_NODE | {
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
    }
