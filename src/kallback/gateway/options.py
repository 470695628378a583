"""How one gateway behaves: frozen, each field with unit, default and reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kallback.kafka import Client
from kallback.protocol import ConfigurationError, TaskType
from kallback.settings.option_types import check_option_types
from kallback.web import ServerOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """How one gateway behaves.

    Attributes:
        server: where it listens, by default on port 8090 of the loopback, and the bounds of its requests.
        client: the Kafka client; see `Client`. Default confluent.
        requests_per_second: of one client in the long run; 0 is no limit. Default 50.
        burst: requests that a client may send at once. Default 100.
        client_header: the header in which a trusted proxy in front puts the client's address, such as
            `X-Forwarded-For`; its last address counts. Default none: the address of the connection.
        task_types: by their names: a result of one of them is checked before its token is used up. Default none: what
            does not fit fails in the handler.
        late_grace: seconds after its deadline in which a result is not late. Default 30, as for bridges.
    """

    server: ServerOptions = field(default_factory=lambda: ServerOptions(port=8090))
    client: Client = Client.CONFLUENT
    requests_per_second: float = 50.0
    burst: int = 100
    client_header: str | None = None
    task_types: Mapping[str, TaskType[Any, Any]] = field(default_factory=dict[str, TaskType[Any, Any]])
    late_grace: float = 30.0

    def __post_init__(self) -> None:
        """Refuse options of the wrong type, and limits that would let no request through."""
        check_option_types(self)
        if not isinstance(self.task_types, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - from code without a type checker
            raise ConfigurationError(
                f"GatewayOptions: task_types must be a mapping, not {type(self.task_types).__name__}: write "
                "{prepare.name: prepare}"
            )
        if self.burst < 1 or self.requests_per_second < 0:
            raise ConfigurationError("the burst of a gateway is at least 1, and its rate is 0 or more")
