"""Apache Kafka's own image, 4.x: one node that is broker and controller (KRaft).

testcontainers' `KafkaContainer` knows Confluent's images only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kallback.testing.containers.server import ContainerServer
from kallback.testing.servers.kafka import SINGLE_NODE, KafkaProbe
from kallback.testing.software.kafka import KAFKA_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

KAFKA_IMAGE: Final = f"apache/kafka:{KAFKA_VERSION}"

_HOST, _INSIDE, _CONTROLLER = 9092, 19092, 9093


class ApacheKafkaContainer(ContainerServer):
    """A broker for clients on this machine and, at `inside`, for other containers of its network.

    Args:
        image: default Apache Kafka 4.4.0.
        port: where it listens on this side; by default a free port.
        properties: server properties, added to the defaults.
        alias: its name in a network that it is given (`with_network`).
        keep: stop the container in the end and keep it.
        container: testcontainers' further arguments.
    """

    def __init__(
        self,
        image: str = KAFKA_IMAGE,
        *,
        port: int | None = None,
        properties: Mapping[str, str] | None = None,
        alias: str = "kafka",
        keep: bool = False,
        **container: Any,
    ) -> None:
        container = {"hostname": alias} | container  # so that it finds itself, without a network too
        super().__init__(image, wanted=(port,), inner=(_HOST,), keep=keep, **container)
        self.with_network_aliases(alias)
        self.inside: Final = f"{alias}:{_INSIDE}"
        self._properties = dict(properties or {})
        self._probe: KafkaProbe | None = None

    @property
    def bootstrap_servers(self) -> str:
        """The broker's address."""
        return f"{self.host}:{self.bound[0]}"

    def prepare(self) -> None:
        """Tell the broker under which addresses it is reached."""
        properties = _server_properties(self.bootstrap_servers, self.inside) | self._properties
        self.with_envs(**{variable_of(name): value for name, value in properties.items()})
        self.with_env("KAFKA_HEAP_OPTS", "-Xmx512m")
        self._probe = KafkaProbe(self.bootstrap_servers)

    def answers(self) -> bool:
        """Whether a client gets an answer."""
        return self._probe is not None and self._probe.answers()


def variable_of(name: str) -> str:
    """The image's environment variable for a server property."""
    return "KAFKA_" + name.replace("_", "__").replace("-", "___").replace(".", "_").upper()


def _server_properties(address: str, inside: str) -> dict[str, str]:
    return SINGLE_NODE | {
        "controller.quorum.voters": f"1@localhost:{_CONTROLLER}",
        "listeners": f"HOST://:{_HOST},INSIDE://:{_INSIDE},CONTROLLER://:{_CONTROLLER}",
        "advertised.listeners": f"HOST://{address},INSIDE://{inside}",
        "listener.security.protocol.map": "HOST:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INSIDE",
    }
