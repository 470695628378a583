"""Compose reads its files, what they mount is there, and containers have as long to stop as their roles need."""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from tests.unit.deploy.test_commands import parse
from tests.unit.deploy.test_systemd import CLOSING_S, DRAINS

from kallback.cli.app import app
from kallback.cli.new.project import write_project

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("file", ["compose.yaml", "examples/starter/compose.yaml"])
def test_a_worker_has_time_for_its_drain(file: str) -> None:
    """And for what is closed after it: the child processes, the results on their way."""
    services = yaml.safe_load((ROOT / file).read_text("utf-8"))["services"]
    workers = [each for each in services.values() if "worker" in (each.get("command") or [])[:1]]
    assert workers
    for each in workers:
        seconds = int(each["stop_grace_period"].removesuffix("s"))
        assert seconds >= DRAINS["worker"] + CLOSING_S


@pytest.mark.parametrize("file", ["compose.yaml", "examples/starter/compose.yaml"])
def test_the_command_line_takes_the_commands_of_containers(file: str) -> None:
    """With their options; Kafka and others have commands of their own."""
    services = yaml.safe_load((ROOT / file).read_text("utf-8"))["services"]
    words = [each["command"] for each in services.values() if isinstance(each.get("command"), list)]
    own = [each for each in words if each[0] in app.list_commands(click.Context(app))]
    assert {"bridge", "worker", "service", "console", "topics"} <= {each[0] for each in own}
    for each in own:
        parse(shlex.join(["kallback", *each]))


@functools.cache
def has_compose() -> bool:
    """Whether this machine has `docker compose`; no engine has to run."""
    if shutil.which("docker") is None:
        return False
    return not subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode


def configuration(folder: Path, *options: str, **variables: str) -> Any:
    """What Compose makes of the files of a folder."""
    if not has_compose():
        pytest.skip("docker compose is not installed")
    command = ["docker", "compose", *options, "config", "--format", "json"]
    environ = {**os.environ, **variables}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def missing_files(found: Any) -> list[str]:
    """The files and folders of the machine that services mount and that are not there."""
    volumes = [each for service in found["services"].values() for each in service.get("volumes", [])]
    return [each["source"] for each in volumes if each["type"] == "bind" and not Path(each["source"]).exists()]


SECRETS = {"KALLBACK_KEYS": "k1:key", "CONSOLE_PASSWORD": "password"}
USERS = ("ADMIN", "TOPICS", "BRIDGE", "SERVICE", "WORKER", "GATEWAY", "CONSOLE", "DRIVERS")
PASSWORDS = {f"KAFKA_{user}_PASSWORD": "password" for user in USERS}
"""As `.env.example` names them."""


def test_compose_reads_the_example() -> None:
    """All services that the page tells to start."""
    assert {"kafka", "restate", "bridge", "services", "console"} <= configuration(ROOT, **SECRETS)["services"].keys()


def test_compose_reads_the_profile_that_observes() -> None:
    """Prometheus and Grafana have the ports that the page names, and find their files; they are not started here."""
    found = configuration(ROOT, "--profile", "observe", **SECRETS)
    ports = {
        name: [(each["host_ip"], each["published"]) for each in found["services"][name]["ports"]]
        for name in ("prometheus", "grafana")
    }
    assert ports == {"prometheus": [("127.0.0.1", "9090")], "grafana": [("127.0.0.1", "3000")]}
    assert missing_files(found) == []


def test_prometheus_reads_its_file() -> None:
    """It asks services that are there, and its rules are where it looks for them, in the container as well."""
    said = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text("utf-8"))
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    asked = {name for job in said["scrape_configs"] for each in job["dns_sd_configs"] for name in each["names"]}
    assert asked <= services.keys()
    assert said["rule_files"] == ["alerts.yml"]
    assert "./deploy/alerts.yml:/etc/prometheus/alerts.yml:ro" in services["prometheus"]["volumes"]
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    subprocess.run(["promtool", "check", "config", "deploy/prometheus.yml"], cwd=ROOT, check=True, capture_output=True)


def test_compose_reads_the_secured_example() -> None:
    """With each password that `.env.example` names, nothing is left blank."""
    named = (ROOT / ".env.example").read_text("utf-8")
    assert [name for name in PASSWORDS if f"#{name}=" not in named] == []
    files = ("-f", "compose.yaml", "-f", "compose.secured.yaml")
    found = configuration(ROOT, *files, **SECRETS, **PASSWORDS)
    assert "SASL" in json.dumps(found["services"]["bridge"]["environment"])


def test_compose_reads_the_file_of_a_new_project(tmp_path: Path) -> None:
    """With the variables that its own example has."""
    write_project("print-shop", tmp_path)
    shutil.copy(tmp_path / ".env.example", tmp_path / ".env")
    (tmp_path / "secrets").mkdir()
    found = configuration(tmp_path)
    assert {"bridge", "worker", "service", "gateway", "console"} <= found["services"].keys()
    assert missing_files(found) == []
