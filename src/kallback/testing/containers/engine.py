"""The Docker engine: whether one answers, and under which address this process reaches published ports."""

from __future__ import annotations

import shutil
import subprocess
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

import docker
from docker.errors import DockerException
from testcontainers.core.config import ConnectionMode

from kallback.testing.errors import NoServerError

if TYPE_CHECKING:
    from testcontainers.core.docker_client import DockerClient

LOOPBACK: Final = "127.0.0.1"
_TIMEOUT_S: Final = 10

NO_ENGINE: Final = (
    "No Docker engine answers: start one (Debian: apt install docker.io, then systemctl start docker), or set "
    "DOCKER_HOST to where one runs."
)


def require_engine() -> None:
    """Check that an engine answers.

    Raises:
        NoServerError: none does; the sentence says how to get one.
    """
    try:
        client = docker.from_env(timeout=_TIMEOUT_S)
        try:
            client.ping()  # pyright: ignore[reportUnknownMemberType] - untyped keywords
        finally:
            client.close()
    except DockerException:
        raise NoServerError(NO_ENGINE) from None


def published_host(client: DockerClient) -> str:
    """Return the address at which published ports answer this process.

    That is the loopback, another machine where DOCKER_HOST says so, or, for a process that is itself in a container,
    the gateway of the engine's default network.
    """
    if client.get_connection_mode() is ConnectionMode.docker_host:
        host = client.host()
        return LOOPBACK if host == "localhost" else host
    (first, *_) = client.client.networks.get("bridge").attrs["IPAM"]["Config"]
    return str(first.get("Gateway") or next(ip_network(first["Subnet"]).hosts()))


def require_compose() -> None:
    """Check that `docker compose` is installed.

    Raises:
        NoServerError: it is not.
    """
    command = shutil.which("docker")
    done = command and subprocess.run([command, "compose", "version"], capture_output=True, check=False)  # noqa: S603
    if not done or done.returncode:
        raise NoServerError("Docker Compose v2 is not installed: install it (Debian: apt install docker-compose).")
