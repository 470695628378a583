"""Drives Compose as a user does, with a project name, ports and keys of its own."""

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
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest

from kallback.testing import Ingress, eventually
from kallback.testing.servers.ports import free_ports

ROOT = Path(__file__).parents[2]
_UP = 240


@pytest.fixture(scope="session")
def composing() -> SimpleNamespace:
    """What a module needs to make a project of its own; test modules cannot import each other."""
    return SimpleNamespace(
        Compose=Compose,
        Customers=Customers,
        composed=composed,
        docker=docker,
        own_environment=own_environment,
        signing_key=signing_key,
    )


@dataclass(frozen=True)
class Compose:
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
    """Ports that are free, and a key of this run."""
    kafka, ingress, admin = (str(port) for port in free_ports(3))
    return {"KAFKA_PORT": kafka, "INGRESS_PORT": ingress, "ADMIN_PORT": admin, "KALLBACK_KEYS": signing_key("k1")}


@contextmanager
def composed(compose: Compose, *up: str) -> Generator[Compose]:
    """Bring it up and wait until all is healthy; at the end it goes, with its data."""
    try:
        compose("up", "--build", "--wait", "--wait-timeout", str(_UP - 20), *up)
        yield compose
    finally:
        compose("down", "--volumes", "--timeout", "5")


class Customers:
    """Places orders at the ingress and follows them."""

    def __init__(self, ingress_url: str) -> None:
        self._url = ingress_url
        self._sample = json.loads((ROOT / "examples/food_ordering/an_order.json").read_text())
        self._placed = 0

    async def order(self, count: int) -> list[str]:
        """Place orders at as many restaurants; return their ids."""
        ids = [f"{self._placed + index:03}" for index in range(count)]
        self._placed += count
        async with Ingress(self._url) as ingress:
            for each in ids:
                restaurant = self._sample["restaurant"] | {"name": f"restaurant {each}"}
                body = self._sample | {"id": each, "restaurant": restaurant}
                await ingress.send(f"OrderWorkflow/{each}/create", body)
        return ids

    async def status(self, order: str) -> dict[str, Any]:
        """What a customer sees; nothing yet is a stage too, and so is a Restate that is away."""
        try:
            answer = await self._http("GET", f"/OrderWorkflow/{order}/status")
        except httpx.HTTPError:
            return {"stage": "UNKNOWN"}
        return answer.json() if answer.is_success else {"stage": "UNKNOWN"}

    async def until(
        self, stages: Iterable[str], orders: Iterable[str], *, patience: float = 150
    ) -> list[dict[str, Any]]:
        """Wait until each order is in one of these stages; return what the customers then see."""
        wanted, left, seen = set(stages), list(orders), {}

        async def all_there() -> bool:
            for each in left:
                seen[each] = await self.status(each)
            return all(seen[each]["stage"] in wanted for each in left)

        try:
            await eventually(f"{len(left)} orders in {wanted}", all_there, timeout=patience, interval=0.5)
        except AssertionError:
            pytest.fail(f"after {patience:g} s the orders are not all in {wanted}: {seen}")
        return list(seen.values())

    async def cancel(self, order: str) -> None:
        """Change one's mind."""
        (await self._http("POST", f"/OrderWorkflow/{order}/cancel")).raise_for_status()

    async def _http(self, method: str, path: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self._url, timeout=10) as client:
            return await client.request(method, path)
