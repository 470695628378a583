"""The servers of `kallback dev`, with data of this run only, or with that of a directory."""

from __future__ import annotations

import base64
import dataclasses
import secrets
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from kallback.protocol.errors import ConfigurationError
from kallback.testing.dev.data import DataDirectory, KeptState, data_directory, upgrades
from kallback.testing.environment import ServerEnvironment, ServerKind
from kallback.testing.errors import NoServerError
from kallback.testing.prepare import make_class_archive
from kallback.testing.servers.ports import is_free
from kallback.testing.software.kafka import KAFKA_VERSION, find_kafka
from kallback.testing.software.restate import find_restate, version_of
from kallback.testing.stack import KafkaOptions, RestateOptions, Stack, start_stack

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from kallback.testing.software.progress import DownloadProgress

_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class DevServers:
    """Running servers, and what belongs to their data.

    Attributes:
        stack: Kafka and Restate.
        keys: the signing key, as KALLBACK_KEYS.
        data: where their data is kept; None if it ends with them.
        state: what is kept beside the data.
    """

    stack: Stack
    state: KeptState
    data: DataDirectory | None = None

    def keep_ports(self, ports: Mapping[str, int]) -> None:
        """Have the next run use these ports again, by the names of the programs, if it goes on with the data."""
        if self.data is not None:
            self.data.keep(msgspec.structs.replace(self.state, ports={**self.state.ports, **ports}))


@contextmanager
def start_servers(
    kafka: KafkaOptions, restate: RestateOptions, data: Path | None, progress: DownloadProgress
) -> Generator[DevServers]:
    """Start both servers; stop at the end what was started.

    Args:
        kafka: which Kafka to use, or how to start one.
        restate: which Restate to use, or how to start one.
        data: the directory of their data; None for data that ends with them.
        progress: told of downloads, and of later versions.

    Raises:
        ConfigurationError: the directory cannot be used, or the servers are none of this machine's.
        NoServerError: this machine cannot run a server; the sentence names what to install.
        ServerStartError: a server does not start.
    """
    environment = ServerEnvironment.read()
    _speed_up_kafka(kafka, environment, progress)
    if data is None:
        with start_stack(kafka, restate, progress=progress) as stack:
            yield DevServers(stack, _going_on(None, {}))
        return
    _require_local(kafka, restate, environment)
    executable = find_restate(environment, progress, executable=restate.executable)
    versions = {"Kafka": KAFKA_VERSION, "Restate": version_of(executable)}
    with data_directory(data, versions) as kept:
        for line in upgrades(kept.state, versions):
            progress.say(line)
        state = _going_on(kept.state, versions)
        kept.keep(state)
        with start_stack(*_with_data(kafka, restate, kept, state), progress=progress) as stack:
            servers = DevServers(stack, state, kept)
            servers.keep_ports(server_ports(stack))
            yield servers


def _going_on(state: KeptState | None, versions: dict[str, str]) -> KeptState:
    """What this run begins with."""
    return KeptState(versions, state.ports if state else {}, state.keys if state else _new_keys())


def _with_data(
    kafka: KafkaOptions, restate: RestateOptions, kept: DataDirectory, state: KeptState
) -> tuple[KafkaOptions, RestateOptions]:
    """The ports of the former run, if they are free, so that what was exported then holds."""

    def port(wanted: int | None, name: str) -> int | None:
        former = state.ports.get(name)
        return wanted or (former if former is not None and is_free(former) else None)

    return (
        dataclasses.replace(kafka, directory=kept.path / "kafka", port=port(kafka.port, "kafka")),
        dataclasses.replace(
            restate,
            directory=kept.path / "restate",
            ingress_port=port(restate.ingress_port, "ingress"),
            admin_port=port(restate.admin_port, "admin"),
        ),
    )


def server_ports(stack: Stack) -> dict[str, int]:
    """Return the ports of the servers, by the names of their options."""
    urls = {"kafka": f"//{stack.bootstrap_servers}", "ingress": stack.ingress_url, "admin": stack.admin_url}
    return {name: port for name, url in urls.items() if (port := urlsplit(url).port) is not None}


def _new_keys() -> str:
    return f"k1:{base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode().rstrip('=')}"


def _require_local(kafka: KafkaOptions, restate: RestateOptions, environment: ServerEnvironment) -> None:
    given = (kafka.bootstrap_servers, environment.kafka, restate.ingress_url, environment.restate_ingress)
    if any(given) or environment.servers is not ServerKind.LOCAL:
        raise ConfigurationError(
            "--data keeps the data of servers that kallback dev starts as processes: unset KALLBACK_TEST_KAFKA, "
            "KALLBACK_TEST_RESTATE_INGRESS, KALLBACK_TEST_RESTATE_ADMIN and KALLBACK_TEST_SERVERS, or leave --data out"
        )


def _speed_up_kafka(options: KafkaOptions, environment: ServerEnvironment, progress: DownloadProgress) -> None:
    """The first time, make the class archive that halves each later start of a local Kafka."""
    if environment.servers is ServerKind.LOCAL and not (options.bootstrap_servers or environment.kafka):
        with suppress(NoServerError):  # start_stack takes another Kafka, or says why there is none
            make_class_archive(find_kafka(environment, progress), progress)
