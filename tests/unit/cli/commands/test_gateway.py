"""`kallback gateway`: its options."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from kallback.cli.commands import gateway as command
from kallback.gateway import Gateway, GatewayOptions
from kallback.kafka import Client
from kallback.web import ServerOptions


def started(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[Any, ...]:
    """What the command would run, with what beside."""
    served: list[tuple[Any, ...]] = []
    monkeypatch.setattr(command, "serve", lambda *each: served.append(each))
    monkeypatch.setenv("KALLBACK_INSECURE", "1")
    result = CliRunner().invoke(command.gateway, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return served[0]


def test_without_options_it_has_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the loopback, without a health port."""
    (gateway,) = started(monkeypatch)
    assert isinstance(gateway, Gateway)
    assert gateway.options == GatewayOptions()
    assert gateway.options.server.host == "127.0.0.1"


def test_options_reach_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them, and the health port beside it."""
    arguments = (
        "--port 1 --host ::1 --client aiokafka --client-header X-Real-IP --max-bytes 100000000 --max-connections 2 "
        "--request-timeout 3 --requests-per-second 4 --burst 5 --health-port 0"
    )
    gateway, health = started(monkeypatch, *arguments.split())
    assert gateway.options == GatewayOptions(
        server=ServerOptions(
            port=1,
            host="::1",
            max_body_bytes=100_000_000,
            max_buffered_bytes=100_000_000,
            max_connections=2,
            request_timeout=3.0,
        ),
        client=Client.AIOKAFKA,
        client_header="X-Real-IP",
        requests_per_second=4.0,
        burst=5,
    )
    assert type(health).__name__ == "GatewayHealthServer"
