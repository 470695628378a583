"""Restate services for tests: served from the test's own event loop, or by a process that can be killed.

In the test's process: hypercorn runs as a task of the loop and ends with the context; open handlers are cancelled.
As a process: `ServiceProcess` runs `kallback service MODULE:NAME`, and can be restarted on its port.
Both register themselves with Restate's admin API.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from kallback.sdk.serving import LOOPBACK, serve_app
from kallback.testing.clients.restate import Admin
from kallback.testing.errors import ServerStartError
from kallback.testing.polling import eventually
from kallback.testing.servers.ports import accepts, free_ports, with_free_ports
from kallback.testing.servers.processes import ChildProcess, make_tree, remove_tree

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from kallback.testing.servers.base import RestateServer


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A served application.

    Attributes:
        uri: where Restate reaches it.
        deployment_id: what Restate calls it.
    """

    uri: str
    deployment_id: str


def _bound_to(restate: RestateServer) -> str:
    """Where a service must listen: open to others only if Restate is not its neighbour."""
    return LOOPBACK if restate.services_host == LOOPBACK else "0.0.0.0"  # noqa: S104 - a container's only way in


@asynccontextmanager
async def serve_endpoint(app: Any, restate: RestateServer) -> AsyncGenerator[Endpoint]:
    """Serve a Restate application from this event loop and register it; both end with the block.

        with start_stack() as stack:  # or the fixture `kallback_stack`
            async with serve_endpoint(callbacks.app([orders]), stack.restate), Ingress(stack.ingress_url) as ingress:
                assert await ingress.call("orders/order", {"dish": "pizza"}) == "it is on B3"

    Args:
        app: what `callbacks.app([...])` or `restate.app([...])` returns.
        restate: that calls it, such as `stack.restate`.

    Raises:
        ServerStartError: hypercorn does not come up.
    """
    port = free_ports(1)[0]
    end = asyncio.Event()
    server = asyncio.create_task(serve_app(app, port, end, host=_bound_to(restate)))
    try:
        await eventually(f"hypercorn on port {port}", lambda: server.done() or accepts(port))
        if server.done():
            raise ServerStartError(f"hypercorn ended before it served: {server.exception()!r}")
        async with Admin(restate.admin_url) as admin:
            uri = f"http://{restate.services_host}:{port}"
            yield Endpoint(uri, await admin.register(uri))
    finally:
        end.set()
        await server


class ServiceProcess:
    """A Restate application in its own process, which can be stopped, killed and started again on its port.

    Args:
        target: `MODULE:NAME` of the application.
        restate: where it is registered at the first start.
        env: environment variables on top of this process's.
        cwd: directory to run in and to import from.
    """

    def __init__(
        self, target: str, restate: RestateServer, *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self._target = target
        self._restate = restate
        self._env = {**os.environ, **(env or {})}
        self._cwd = cwd
        self._port: int | None = None
        self._directory = make_tree("service")
        self._process: ChildProcess | None = None

    @property
    def uri(self) -> str:
        """Where Restate reaches it.

        Raises:
            ServerStartError: it was never started, so it has no port yet.
        """
        if self._port is None:
            raise ServerStartError(f"{self._target} has no address before its first start: call start().")
        return f"http://{self._restate.services_host}:{self._port}"

    @property
    def description(self) -> str:
        """What runs, where."""
        return f"{self._target} on {self.uri} (log {self._directory / 'service.log'})"

    @property
    def log(self) -> Path:
        """What it wrote."""
        return self._directory / "service.log"

    @property
    def exit_code(self) -> int | None:
        """How it ended last, negative for a signal; None while it runs or before the first start."""
        return None if self._process is None else self._process.exit_code

    def start(self) -> None:
        """Start it and, the first time, register it; return when it listens.

        Raises:
            ServerStartError: it does not come up, or Restate refuses it.
        """
        if self._port is None:
            self._port = with_free_ports((None,), self._run)[0]
            body = {"uri": self.uri, "force": True}
            answer = httpx.post(f"{self._restate.admin_url}/deployments", json=body, timeout=30)
            if answer.is_error:
                raise ServerStartError(f"Restate refuses the deployment {self.uri}: {answer.text}")
        else:
            self._run((self._port,))

    def stop(self) -> None:
        """Ask it to end and wait for that."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()

    def pause(self) -> None:
        """Freeze it."""
        if self._process is not None:
            self._process.pause()

    def resume(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.resume()

    def close(self) -> None:
        """End it and remove its log."""
        self.kill()
        remove_tree(self._directory)

    def _run(self, ports: tuple[int, ...]) -> None:
        command = [sys.executable, "-m", "kallback.cli", "service", self._target, "--port", str(ports[0])]
        command += ["--host", _bound_to(self._restate)]
        if self._process is None or self._port is None:
            self._process = ChildProcess(self._target, command, log=self.log, env=self._env, cwd=self._cwd)
        self._process.start()
        self._process.wait_ready(lambda: accepts(ports[0]))
