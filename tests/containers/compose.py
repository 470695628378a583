"""Compose as a user runs it, with a project name, ports and keys of its own."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from kallback.testing.servers.ports import free_ports

ROOT = Path(__file__).parents[2]
_UP = 240


@dataclass(frozen=True)
class ComposeProject:
    """One project: its files, and the environment that fills them in."""

    files: tuple[str, ...]
    environ: Mapping[str, str]
    project: str = field(default_factory=lambda: f"kallback-test-{uuid4().hex[:8]}")

    def __call__(self, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
        """Run `docker compose` and return what it prints; what it says on failure is in the error."""
        done = self._run(arguments, environ or {})
        if done.returncode:
            logs = self._run(("logs", "--tail", "15"), {}).stdout
            pytest.fail(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}\n{logs}", pytrace=False)
        return done.stdout

    def states(self) -> list[dict[str, Any]]:
        """Every container of the project, one-shots included."""
        return [json.loads(line) for line in self("ps", "--all", "--format", "json").splitlines()]

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers, killed ones included."""
        return self("ps", "--all", "--quiet", service).split()

    def leftovers(self) -> list[str]:
        """What Docker still has of the project: containers, networks, volumes."""
        label = f"label=com.docker.compose.project={self.project}"
        kinds = (("ps", "--all"), ("network", "ls"), ("volume", "ls"))
        return [line for kind in kinds for line in docker(*kind, "--quiet", "--filter", label).split()]

    def _run(self, arguments: Iterable[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        files = [part for name in self.files for part in ("-f", str(ROOT / name))]
        command = ["docker", "compose", "--env-file", os.devnull, "-p", self.project, *files, *arguments]
        env = os.environ | dict(self.environ) | dict(environ)
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=_UP, check=False)

    @property
    def ingress_url(self) -> str:
        """Restate's ingress, from here."""
        return f"http://127.0.0.1:{self.environ['INGRESS_PORT']}"

    @property
    def admin_url(self) -> str:
        """Restate's admin API, from here."""
        return f"http://127.0.0.1:{self.environ['ADMIN_PORT']}"


def docker(*arguments: str) -> str:
    """Run `docker`, as an operator would."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60, check=True).stdout


def signing_key(name: str) -> str:
    """A fresh key, as KALLBACK_KEYS wants it."""
    return f"{name}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def own_environment() -> dict[str, str]:
    """Ports that are free, and a key and a password of this run."""
    kafka, ingress, admin, console = (str(port) for port in free_ports(4))
    ports = {"KAFKA_PORT": kafka, "INGRESS_PORT": ingress, "ADMIN_PORT": admin, "CONSOLE_PORT": console}
    return ports | {"KALLBACK_KEYS": signing_key("k1"), "CONSOLE_PASSWORD": secrets.token_hex(16)}


@contextmanager
def composed(project: ComposeProject, *up: str) -> Generator[ComposeProject]:
    """Bring it up and wait until all is healthy; at the end it goes, with its data."""
    try:
        project("up", "--build", "--wait", "--wait-timeout", str(_UP - 20), *up)
        yield project
    finally:
        project("down", "--volumes", "--timeout", "5")
