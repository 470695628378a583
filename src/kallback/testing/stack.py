"""Kafka and Restate together, each from the first source that works: given, container, local process, embedded.

    with start_stack() as stack:
        ...  # stack.bootstrap_servers, stack.ingress_url, stack.admin_url

Everything blocks. In a coroutine, wrap calls in `asyncio.to_thread`.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kallback.testing.environment import ServerEnvironment, ServerKind
from kallback.testing.errors import NoServerError, ServerStartError
from kallback.testing.servers.embedded_kafka import LIMITS, EmbeddedKafka
from kallback.testing.servers.kafka import GivenKafka, LocalKafka
from kallback.testing.servers.processes import START_TIMEOUT_S, with_kept_log
from kallback.testing.servers.restate import GivenRestate, LocalRestate, Setting
from kallback.testing.software.kafka import find_kafka
from kallback.testing.software.progress import DownloadProgress
from kallback.testing.software.restate import find_restate

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from kallback.testing.servers.base import KafkaServer, RestateServer, Server

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """Which Kafka to use, or how to start one.

    Attributes:
        bootstrap_servers: use this Kafka (over `KALLBACK_TEST_KAFKA`).
        port: where a local one listens; by default a free port.
        properties: server properties of a local one, added to the defaults of this package.
        embedded: fall back on librdkafka's embedded broker where no real Kafka can be started.
        keep: keep a local one's data directory.
        directory: the data directory of a local one, kept for the next server that is given it; by default a new
            one, which is removed.
        start_timeout: seconds in which a local one must answer.
    """

    bootstrap_servers: str | None = None
    port: int | None = None
    properties: Mapping[str, str] = field(default_factory=dict[str, str])
    embedded: bool = True
    keep: bool = False
    directory: Path | None = None
    start_timeout: float = START_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class RestateOptions:
    """Which Restate to use, or how to start one.

    Attributes:
        ingress_url: use this Restate (over `KALLBACK_TEST_RESTATE_INGRESS`); needs `admin_url` too.
        admin_url: its admin API (over `KALLBACK_TEST_RESTATE_ADMIN`).
        executable: a restate-server binary (over `KALLBACK_RESTATE_SERVER`, PATH and npm).
        ingress_port: where a local one's ingress listens; by default a free port.
        admin_port: where a local one's admin API listens; by default a free port.
        configuration: settings of a local one by dotted name, added to the defaults of this package.
        keep: keep a local one's data directory.
        directory: the data directory of a local one, kept for the next server that is given it; by default a new
            one, which is removed.
        start_timeout: seconds in which a local one must answer.
    """

    ingress_url: str | None = None
    admin_url: str | None = None
    executable: Path | None = None
    ingress_port: int | None = None
    admin_port: int | None = None
    configuration: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    keep: bool = False
    directory: Path | None = None
    start_timeout: float = START_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Stack:
    """A running Kafka and a running Restate."""

    kafka: KafkaServer
    restate: RestateServer

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's address."""
        return self.kafka.bootstrap_servers

    @property
    def ingress_url(self) -> str:
        """Restate's ingress."""
        return self.restate.ingress_url

    @property
    def admin_url(self) -> str:
        """Restate's admin API."""
        return self.restate.admin_url


@contextmanager
def start_stack(
    kafka: KafkaOptions | None = None,
    restate: RestateOptions | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    progress: DownloadProgress | None = None,
) -> Generator[Stack]:
    """Start both servers (or check the given ones); stop at the end what was started.

        with start_stack() as stack:
            TopicFactory(stack.kafka).make(["kitchen.prepare", *Topics().all()])
            ...  # stack.bootstrap_servers, stack.ingress_url, stack.admin_url

    It blocks: in a coroutine, start it in a fixture, or with `asyncio.to_thread`. The fixture `kallback_stack` has
    started one for the session.

    Args:
        kafka: which Kafka; by default one of the environment's, or a local one.
        restate: which Restate, in the same way.
        environ: variables such as `KALLBACK_TEST_KAFKA`; by default those of the process.
        progress: told of downloads.

    Raises:
        NoServerError: this machine cannot run a server; the sentence names what to install.
        ServerStartError: a server does not answer; carries its last log lines.
    """
    with (
        start_kafka(kafka, environ=environ, progress=progress) as first,
        start_restate(restate, environ=environ, progress=progress) as second,
    ):
        yield Stack(first, second)


@contextmanager
def start_kafka(
    options: KafkaOptions | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    progress: DownloadProgress | None = None,
) -> Generator[KafkaServer]:
    """Start a Kafka (or check the given one); stop it at the end."""
    server = choose_kafka(options or KafkaOptions(), ServerEnvironment.read(environ), progress)
    with _running(server):
        yield server


@contextmanager
def start_restate(
    options: RestateOptions | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    progress: DownloadProgress | None = None,
) -> Generator[RestateServer]:
    """Start a Restate (or check the given one); stop it at the end."""
    server = choose_restate(options or RestateOptions(), ServerEnvironment.read(environ), progress)
    with _running(server):
        yield server


def choose_kafka(
    options: KafkaOptions, environment: ServerEnvironment, progress: DownloadProgress | None = None
) -> KafkaServer:
    """Return the first Kafka that this machine can run, not yet started.

    Raises:
        NoServerError: there is none.
    """
    address = options.bootstrap_servers or environment.kafka
    if address is not None:
        return GivenKafka(address)
    if environment.servers is ServerKind.CONTAINERS:
        from kallback.testing.containers import ApacheKafkaContainer  # noqa: PLC0415 - needs an extra of its own

        return ApacheKafkaContainer(port=options.port, properties=options.properties, keep=options.keep)
    try:
        software = find_kafka(environment, progress or DownloadProgress())
    except NoServerError as error:
        if not options.embedded or options.port is not None or options.properties or options.directory is not None:
            raise
        _log.warning("%s Instead: %s", error, LIMITS)
        return EmbeddedKafka()
    return LocalKafka(
        software,
        port=options.port,
        properties=options.properties,
        keep=options.keep,
        directory=options.directory,
        start_timeout=options.start_timeout,
    )


def choose_restate(
    options: RestateOptions, environment: ServerEnvironment, progress: DownloadProgress | None = None
) -> RestateServer:
    """Return the first Restate that this machine can run, not yet started.

    Raises:
        NoServerError: there is none.
        UnsupportedServerError: the one that was found is older than 1.7.0.
    """
    ingress, admin = options.ingress_url or environment.restate_ingress, options.admin_url or environment.restate_admin
    if ingress is not None and admin is not None:
        return GivenRestate(ingress, admin, environment.services_host)
    if ingress is not None or admin is not None:
        raise NoServerError(
            "A Restate has two addresses: set both KALLBACK_TEST_RESTATE_INGRESS and KALLBACK_TEST_RESTATE_ADMIN."
        )
    if environment.servers is ServerKind.CONTAINERS:
        from kallback.testing.containers import RestateServerContainer  # noqa: PLC0415 - needs an extra of its own

        return RestateServerContainer(
            ingress_port=options.ingress_port,
            admin_port=options.admin_port,
            configuration=options.configuration,
            keep=options.keep,
        )
    return LocalRestate(
        find_restate(environment, progress or DownloadProgress(), executable=options.executable),
        ingress_port=options.ingress_port,
        admin_port=options.admin_port,
        configuration=options.configuration,
        keep=options.keep,
        directory=options.directory,
        start_timeout=options.start_timeout,
    )


@contextmanager
def _running(server: Server) -> Generator[None]:
    try:
        try:
            server.start()
        except ServerStartError as error:
            raise with_kept_log(error) from None
        yield
    finally:
        server.close()
