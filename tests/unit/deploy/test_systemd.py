"""The systemd units of the page on deployment: commands, settings, exit codes and times are those of the code."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from kallback.bridge import BridgeOptions
from kallback.cli.app import EXIT_INSTANCE_ID_TAKEN, app
from kallback.cli.runner import EXIT_INTERRUPTED
from kallback.sdk.serving.server import GRACE
from kallback.settings import VARIABLES
from kallback.web import ServerOptions
from kallback.workers import WorkerOptions

PAGE = (Path(__file__).parents[3] / "docs" / "deploy.md").read_text("utf-8")
BLOCKS = dict(re.findall(r'```ini title="/etc/([^"]+)"\n(.*?)```', PAGE, re.DOTALL))
UNITS = [name for name in BLOCKS if name.endswith(".service")]
CLOSING_S = 10
REQUESTS_S = ServerOptions(port=0).drain_timeout
DRAINS = {
    "bridge": BridgeOptions().drain_timeout,
    "worker": WorkerOptions().drain_timeout,
    "service": GRACE,
    "gateway": REQUESTS_S,
    "console": REQUESTS_S,
}


def service(unit: str) -> configparser.SectionProxy:
    """The section that says how it runs."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    parser.read_string(BLOCKS[unit])
    return parser["Service"]


def role(unit: str) -> str:
    """What it runs."""
    return shlex.split(service(unit)["ExecStart"])[1]


def test_each_role_has_a_unit() -> None:
    """One each."""
    assert sorted(map(role, UNITS)) == ["bridge", "console", "gateway", "service", "worker"]


@pytest.mark.parametrize("unit", UNITS)
def test_each_unit_is_as_strict_as_the_others(unit: str) -> None:
    """A role that is taken over writes no files and gains no rights."""
    names = {"NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "RestrictSUIDSGID"}
    strict = {name: service(unit)[name] for name in (*names, "CapabilityBoundingSet", "RestrictAddressFamilies")}
    assert strict == {name: service(UNITS[0])[name] for name in strict}
    assert names <= service(unit).keys()


@pytest.mark.parametrize("unit", UNITS)
def test_the_command_exists(unit: str) -> None:
    """With its options."""
    _program, name, *arguments = shlex.split(service(unit)["ExecStart"])
    command = app.get_command(click.Context(app), name)
    assert command is not None
    command.make_context(name, arguments)


@pytest.mark.parametrize("unit", UNITS)
def test_the_exit_codes_are_those_of_the_roles(unit: str) -> None:
    """A taken instance id is no reason to start again, a second signal no failure."""
    found = service(unit)
    assert found["Restart"] == "on-failure"
    assert found["RestartPreventExitStatus"] == str(EXIT_INSTANCE_ID_TAKEN)
    assert found["SuccessExitStatus"] == str(EXIT_INTERRUPTED)


@pytest.mark.parametrize("unit", UNITS)
def test_a_stop_has_time_for_the_drain(unit: str) -> None:
    """And for what is closed after it."""
    assert int(service(unit)["TimeoutStopSec"]) >= DRAINS[role(unit)] + CLOSING_S


@pytest.mark.parametrize("unit", UNITS)
def test_settings_are_settings_and_workers_have_no_keys(unit: str) -> None:
    """Nor does the file that all roles read."""
    found = service(unit)
    known = {each.name for each in VARIABLES}
    shared = re.findall(r"^(KALLBACK_\w+)=", BLOCKS[found["EnvironmentFile"].removeprefix("/etc/")], re.MULTILINE)
    own = re.findall(r"KALLBACK_\w+", found.get("Environment", ""))
    assert set(shared) | set(own) <= known | {f"{name}_FILE" for name in known}
    assert not any("KEYS" in name for name in shared)
    assert own == ([] if role(unit) == "worker" else ["KALLBACK_KEYS_FILE"])
    assert found["User"] == "kallback"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_has_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    """Names of sections and settings, their values, and the order of units, as systemd itself reads them."""
    for unit in UNITS:
        text = BLOCKS[unit].replace("/opt/kallback/bin/kallback", sys.executable)  # it must be there
        (tmp_path / Path(unit).name).write_text(text, "utf-8")
    command = ["systemd-analyze", "verify", "--man=no", *sorted(map(str, tmp_path.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if str(tmp_path) in line or "kallback" in line]
    assert (done.returncode, said) == (0, [])


def test_services_know_the_gateway_that_has_a_unit() -> None:
    """A handler that hands out a link fails without its address."""
    assert "gateway" in map(role, UNITS)
    environment = BLOCKS[service("systemd/system/kallback-service.service")["EnvironmentFile"].removeprefix("/etc/")]
    assert "\nKALLBACK_GATEWAY_URL=https://" in environment
