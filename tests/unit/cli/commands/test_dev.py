"""`kallback dev`: what is refused before a server starts."""

from __future__ import annotations

import socket

import pytest
from click.testing import CliRunner

from kallback.cli.commands.dev import dev
from kallback.protocol import ConfigurationError


@pytest.mark.parametrize("option", ["--kafka-port", "--ingress-port", "--admin-port", "--console-port"])
def test_a_port_in_use_names_its_option(option: str) -> None:
    """The servers' own errors do not."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = CliRunner().invoke(dev, [option, str(taken.getsockname()[1])])
    assert isinstance(result.exception, ConfigurationError)
    assert f"choose another {option}" in str(result.exception)


def test_two_servers_cannot_have_one_port() -> None:
    """The second one would fail, after the first has started."""
    result = CliRunner().invoke(dev, ["--kafka-port", "20002", "--admin-port", "20002"])
    assert "--kafka-port and --admin-port have the same port" in str(result.exception)
