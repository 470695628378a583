"""What all measurements of a run share: one Kafka, one Restate, the service, a key, and topics for each measurement."""

from __future__ import annotations

import base64
import itertools
import os
import secrets
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from benchmarks import marks
from benchmarks.records import PARTITIONS, RecordPosition, Writer
from benchmarks.worker import echo, idle
from kallback.protocol import Keyring
from kallback.settings import Topics
from kallback.testing import KafkaServer, RestateOptions, ServiceProcess, Stack, TopicFactory, start_stack
from kallback.testing.servers.embedded_kafka import EmbeddedKafka
from kallback.testing.servers.processes import make_tree, remove_tree

AUDIENCE: Final = "bench"
ROOT: Final = Path(__file__).parents[1]
_SERVICE: Final = "benchmarks.service:app"
_SUSPENDS_SOON: Final = {"worker.invoker.inactivity-timeout": "1s"}
"""Handlers that wait longer are suspended, as in real life; and Restate has nothing to resume when it comes back."""


class BenchmarkEnvironment:
    """The servers, topics and keys of a run.

    Args:
        stack: a real Kafka and a real Restate of this run's own.
        directory: for logs and marks.
    """

    def __init__(self, stack: Stack, directory: Path) -> None:
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        self.stack = stack
        self.directory = directory
        self.keyring = Keyring.parse(f"k1:{key}")
        self.marks = marks.Marks(directory / "marks")
        self.writer = Writer(stack.bootstrap_servers, self.keyring, AUDIENCE)
        self._topics = TopicFactory(stack.kafka)
        self._numbers = itertools.count()
        self.home = Topics(prefix="bench.")
        self._variables = {
            "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
            "KALLBACK_RESTATE_INGRESS_URL": stack.ingress_url,
            "KALLBACK_RESTATE_ADMIN_URL": stack.admin_url,
            "KALLBACK_KEYS": f"k1:{key}",
            "KALLBACK_AUDIENCE": AUDIENCE,
            "KALLBACK_RESTATE_OLD_SERVICE_NAMES": "1",  # the bridge of an older checkout calls the services by them
            marks.VARIABLE: str(directory / "marks"),
        }

    def make_topics(self, *names: str, partitions: int = PARTITIONS) -> Topics:
        """Kallback's topics under a new prefix, and others by their own names."""
        topics = Topics(prefix=f"bench{next(self._numbers)}.")
        self._topics.make([*topics.all(), *names], partitions=partitions)
        return topics

    def make_home(self) -> None:
        """The topics that the service knows."""
        self._topics.make([*self.home.all(), echo.name, idle.name], partitions=PARTITIONS)

    def variables(self, topics: Topics) -> dict[str, str]:
        """Variables of processes that work on these topics."""
        return self._variables | {"KALLBACK_TOPICS_PREFIX": topics.prefix}

    def log(self, name: str) -> Path:
        """A log file of its own for each process."""
        return self.directory / f"{name}-{next(self._numbers)}.log"

    def mark(self, record_positions: Iterable[RecordPosition]) -> Marked:
        """Have a handler wait for each of these records."""
        names = {position: f"m{next(self._numbers)}" for position in record_positions}
        with httpx.Client(base_url=self.stack.ingress_url, timeout=30) as http:
            for name in names.values():
                http.post("/Waiting/wait/send", json=name).raise_for_status()
        awakeables = self.marks.awakeables(names.values())
        return Marked(names, {position: awakeables[name] for position, name in names.items()})

    @contextmanager
    def service(self) -> Generator[ServiceProcess]:
        """Serve the run's Restate service, the notifier included."""
        process = ServiceProcess(_SERVICE, self.stack.restate, env=self.variables(self.home), cwd=ROOT)
        try:
            process.start()
            yield process
        finally:
            process.close()


class Marked:
    """Records that complete handlers which really wait.

    Attributes:
        names: of the handlers, by their record's position.
        awakeables: their ids, likewise.
    """

    def __init__(self, names: dict[RecordPosition, str], awakeables: dict[RecordPosition, str]) -> None:
        self.names = names
        self.awakeables = awakeables


@contextmanager
def open_environment() -> Generator[BenchmarkEnvironment]:
    """Start everything, end it at the end.

    Raises:
        SystemExit: there is no real Kafka here.
    """
    with start_stack(restate=RestateOptions(configuration=_SUSPENDS_SOON)) as stack:
        _require_real_kafka(stack.kafka)
        directory = make_tree("bench", keep="BENCH_KEEP" in os.environ)
        try:
            environment = BenchmarkEnvironment(stack, directory)
            environment.make_home()
            with environment.service():
                yield environment
        finally:
            if "BENCH_KEEP" not in os.environ:
                remove_tree(directory)


def _require_real_kafka(kafka: KafkaServer) -> None:
    if isinstance(kafka, EmbeddedKafka):
        raise SystemExit("figures of an embedded broker mean nothing: install Java and Maven for a real Kafka")
