"""`kallback dev`: what is refused before a server starts."""

from __future__ import annotations

import socket
from pathlib import Path
from unittest.mock import Mock

import pytest
from click.testing import CliRunner

from kallback.cli.commands.dev import dev
from kallback.protocol import ConfigurationError
from kallback.testing.dev import Application


@pytest.mark.parametrize(
    "option", ["--kafka-port", "--ingress-port", "--admin-port", "--console-port", "--gateway-health-port"]
)
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


def test_the_example_is_not_mixed_with_other_programs() -> None:
    """It has its own."""
    result = CliRunner().invoke(dev, ["--example", "--worker", "kitchen:worker"])
    assert "leave --service, --worker and --types out" in result.output


def test_the_options_name_an_application(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What runs, and where its data is kept."""
    ran = Mock()
    monkeypatch.setattr("kallback.testing.dev.run_dev", ran)
    options = ["--service=a:app", "--worker=b:worker", "--types=c", "--reload-exclude=scripts", f"--data={tmp_path}"]
    assert CliRunner().invoke(dev, options).exit_code == 0
    given = ran.call_args.kwargs
    assert given["application"] == Application(("a:app",), ("b:worker",), ("c",), ("scripts",))
    assert given["data"] == tmp_path


def test_files_are_excluded_only_where_programs_start_anew() -> None:
    """An option that does nothing is refused."""
    result = CliRunner().invoke(dev, ["--reload-exclude", "scripts"])
    assert "add --service, --worker or --types" in result.output


def test_the_health_port_of_a_bridge_is_chosen_only_where_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs with the developer's programs; the gateway runs always. Whether the port is free does not matter."""
    monkeypatch.setattr("kallback.testing.servers.ports.is_free", lambda _port: False)
    result = CliRunner().invoke(dev, ["--bridge-health-port", "20100", "--types", "c"])
    assert "--bridge-health-port is for the bridge that runs with --service or --worker" in result.output


def test_health_ports_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Like those of the console and the gateway."""
    ran = Mock()
    monkeypatch.setattr("kallback.testing.dev.run_dev", ran)
    monkeypatch.setattr("kallback.testing.servers.ports.is_free", lambda _port: True)
    options = ["--worker=b:worker", "--bridge-health-port=20100", "--gateway-health-port=20101"]
    assert CliRunner().invoke(dev, options).exit_code == 0
    given = ran.call_args.kwargs
    assert (given["bridge_health_port"], given["gateway_health_port"]) == (20100, 20101)
