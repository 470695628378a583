"""How one console behaves: frozen, each field with unit, default and reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kallback.cli.console.processes import split_process
from kallback.cli.console.shown_settings import shown_address
from kallback.protocol import ConfigurationError, TaskType
from kallback.settings import Secret
from kallback.settings.addresses import is_http
from kallback.web import ServerOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleOptions:
    """How one console behaves.

    Attributes:
        server: where it listens, by default on port 8091 of the loopback, and the bounds of its requests.
        hosts: names of the console in its address, beside those of the loopback. A request for another name is refused,
            because a web page of another site could send it.
        password: what a browser must send; default none, for the loopback.
        processes: addresses of health ports of bridges, workers, services and gateways: `http://127.0.0.1:9464`, or
            with the name that the page shows, `kitchen=http://127.0.0.1:9464`.
        allow_changes: let operators complete, fail, retry and cancel tasks, and replay dead letters. Default no.
        user_header: the header in which a trusted proxy names the user, for changes; default none.
        types: task types whose results are checked before they are sent by hand; default none.
        mask_payloads: show no requests, results and details of heartbeats. Default no.
        max_tasks: pending tasks that the overview counts at most. Default 10,000: more cost Restate seconds.
        fresh_for: seconds that overview, outcomes, dead letters and processes are shown before they are read anew.
            Default 5: however many browsers look, the servers are asked once. What took long to read is shown for
            longer.
    """

    server: ServerOptions = field(default_factory=lambda: ServerOptions(port=8091, max_body_bytes=1024))
    hosts: frozenset[str] = frozenset()
    password: Secret | None = None
    processes: tuple[str, ...] = ()
    allow_changes: bool = False
    user_header: str | None = None
    types: tuple[TaskType[Any, Any], ...] = ()
    mask_payloads: bool = False
    max_tasks: int = 10_000
    fresh_for: float = 5.0

    def __post_init__(self) -> None:
        """Refuse what is no address of a health port, and types that cannot be told apart."""
        for _, address in map(split_process, self.processes):
            if not is_http(address) or not address.startswith("http://"):
                raise ConfigurationError(
                    f"{shown_address(address)!r} is no address of a health port: write it like http://127.0.0.1:9464"
                )
        names = [each.name for each in self.types]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigurationError(f"two task types are named {min(twice)}: give --types once for it")
