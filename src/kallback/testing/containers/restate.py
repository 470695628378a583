"""Restate's own image: a cluster of one node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from kallback.testing.containers.server import ContainerServer
from kallback.testing.servers.restate import Setting, restate_answers
from kallback.testing.software.restate import RESTATE_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

RESTATE_IMAGE: Final = f"restatedev/restate:{RESTATE_VERSION}"
HOST_NAME: Final = "host.docker.internal"

_INGRESS, _ADMIN = 8080, 9070


class RestateServerContainer(ContainerServer):
    """A Restate that calls services on this machine as `http://host.docker.internal:PORT`.

    Such services must listen where a container reaches them (0.0.0.0), not on the loopback only.

    Args:
        image: default Restate 1.7.12.
        ingress_port: where handlers are called; by default a free port.
        admin_port: where the admin API listens; by default a free port.
        configuration: settings, added to the defaults, by their dotted names in Restate's configuration file, such as
            `{"worker.invoker.inactivity-timeout": "1s"}`.
        keep: stop the container in the end and keep it.
        container: testcontainers' further arguments.
    """

    def __init__(
        self,
        image: str = RESTATE_IMAGE,
        *,
        ingress_port: int | None = None,
        admin_port: int | None = None,
        configuration: Mapping[str, Setting] | None = None,
        keep: bool = False,
        **container: Any,
    ) -> None:
        container = {"extra_hosts": {HOST_NAME: "host-gateway"}, "hostname": "restate"} | container
        wanted = (ingress_port, admin_port)
        super().__init__(image, wanted=wanted, inner=(_INGRESS, _ADMIN), keep=keep, **container)
        self._configuration = dict(configuration or {})

    @property
    def ingress_url(self) -> str:
        """Where handlers are called and awakeables completed."""
        return f"http://{self.host}:{self.bound[0]}"

    @property
    def admin_url(self) -> str:
        """Where deployments are registered and SQL is answered."""
        return f"http://{self.host}:{self.bound[1]}"

    @property
    def services_host(self) -> str:
        """The name of this machine in the container."""
        return HOST_NAME

    def prepare(self) -> None:
        """Set the configuration."""
        settings = _server_settings() | self._configuration
        self.with_envs(**{variable_of(name): _text(value) for name, value in settings.items()})

    def answers(self) -> bool:
        """Whether admin API and ingress answer."""
        return restate_answers(self.ingress_url, self.admin_url)


def variable_of(name: str) -> str:
    """The environment variable for a setting's dotted name."""
    return "RESTATE_" + name.replace("-", "_").replace(".", "__").upper()


def _text(value: Setting) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _server_settings() -> dict[str, Setting]:
    return {
        "node-name": "kallback",
        "cluster-name": "kallback",
        "disable-telemetry": True,
        "default-num-partitions": 4,
        "rocksdb-total-memory-size": "256 MiB",
        "log-format": "compact",
        "log-disable-ansi-codes": True,
    }
