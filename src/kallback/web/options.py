"""The bounds of one server, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kallback.protocol.errors import ConfigurationError
from kallback.settings.option_types import check_option_types, check_seconds

_LAST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """The bounds of one server.

    Attributes:
        host: address to listen on. Default loopback: TLS is the business of a proxy in front of it.
        port: port to listen on; 0 takes a free one.
        max_body_bytes: the largest body of a request. Default 1 MiB, which Kafka's brokers allow for a record, too.
        max_buffered_bytes: bodies of all requests that are being read or answered. Default 64 MiB.
        max_connections: open connections. Default 256; beyond that, one that has not sent its request yet is closed.
        request_timeout: seconds from the begin of a request, or of an idle connection, to its last byte. Default 15: a
            slow client must not keep a connection.
        drain_timeout: seconds that requests get to end when the server stops. Default 10.
    """

    host: str = "127.0.0.1"
    port: int
    max_body_bytes: int = 1024 * 1024
    max_buffered_bytes: int = 64 * 1024 * 1024
    max_connections: int = 256
    request_timeout: float = 15.0
    drain_timeout: float = 10.0

    def __post_init__(self) -> None:
        """Refuse bounds of the wrong type, and those that would let no request through."""
        check_option_types(self)
        check_seconds(self, "request_timeout")
        check_seconds(self, "drain_timeout", least=0.0)
        if not 0 <= self.port <= _LAST_PORT:
            raise ConfigurationError(
                f"ServerOptions: port={self.port} is none: use 1 to {_LAST_PORT}, or 0 for a free one"
            )
        if min(self.max_body_bytes, self.max_connections) < 1:
            raise ConfigurationError("the bounds of a server are at least 1")
        if self.max_buffered_bytes < self.max_body_bytes:
            raise ConfigurationError(
                f"max_buffered_bytes={self.max_buffered_bytes} is less than one body of {self.max_body_bytes} bytes: "
                "set it to several times that"
            )


@dataclass(slots=True)
class ServerStats:
    """What a server counts; one event loop writes it.

    Attributes:
        connections: open ones.
        buffered_bytes: of bodies in memory.
        closed_connections: those that were closed because there were too many.
    """

    connections: int = 0
    buffered_bytes: int = 0
    closed_connections: int = 0
