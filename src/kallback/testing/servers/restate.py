"""restate-server as a local process: a cluster of one node, with ports and data of its own."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from typing import TYPE_CHECKING

from kallback.protocol.errors import UnsupportedServerError
from kallback.testing.errors import NotOursError, ServerStartError
from kallback.testing.servers.ports import with_free_ports
from kallback.testing.servers.processes import START_TIMEOUT_S, ChildProcess, make_tree, remove_tree
from kallback.testing.software.restate import LEAST_RESTATE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOOPBACK = "127.0.0.1"
ANSWER_TIMEOUT_S = 10.0  # for a server that was given by its address
Setting = str | int | bool | list[str]


class LocalRestate:
    """A Restate that this process starts, on 127.0.0.1, with its own data directory.

    Args:
        executable: the restate-server binary.
        ingress_port: where handlers are called; by default a free port.
        admin_port: where the admin API listens; by default a free port.
        configuration: settings, added to the defaults, by their dotted names in Restate's configuration file, such as
            `{"worker.invoker.inactivity-timeout": "1s"}`.
        keep: keep the data directory after `close`.
        directory: a data directory to go on with, or to begin with, which is kept; by default a new one.
        start_timeout: seconds in which it must answer.
    """

    def __init__(
        self,
        executable: Path,
        *,
        ingress_port: int | None = None,
        admin_port: int | None = None,
        configuration: Mapping[str, Setting] | None = None,
        keep: bool = False,
        directory: Path | None = None,
        start_timeout: float = START_TIMEOUT_S,
    ) -> None:
        self._start_timeout = start_timeout
        self._executable = executable
        self._wanted = (ingress_port, admin_port, None)
        self._ports: tuple[int, ...] | None = None
        self._configuration = dict(configuration or {})
        self._keep = keep or directory is not None
        self._tree = directory
        self._process: ChildProcess | None = None

    @property
    def directory(self) -> Path:
        """Data, `restate.toml` and `restate.log`."""
        if self._tree is None:
            self._tree = make_tree("restate", keep=self._keep)
        return self._tree

    @property
    def ingress_url(self) -> str:
        """Where handlers are called and awakeables completed."""
        return f"http://127.0.0.1:{self._address()[0]}"

    @property
    def admin_url(self) -> str:
        """Where deployments are registered and SQL is answered."""
        return f"http://127.0.0.1:{self._address()[1]}"

    @property
    def services_host(self) -> str:
        """The loopback, because it runs on this machine."""
        return LOOPBACK

    @property
    def description(self) -> str:
        """What runs, where."""
        where = f"ingress {self.ingress_url}, admin {self.admin_url}"
        return f"Restate: {where} (process {self._child.pid}, {self.directory})"

    @property
    def _child(self) -> ChildProcess:
        if self._process is None:
            command = [str(self._executable), "--no-logo", "--config-file", str(self.directory / "restate.toml")]
            env = {name: value for name, value in os.environ.items() if not name.startswith("RESTATE_")}
            self._process = ChildProcess("Restate", command, log=self.directory / "restate.log", env=env)
        return self._process

    def start(self) -> None:
        """Start it, or start it again with its ports and data; return when ingress and admin answer.

        Raises:
            ServerStartError: it does not start.
        """
        if self._ports is None:
            self._ports = with_free_ports(self._wanted, self._first_start)
        else:
            self._run(self._ports)

    def stop(self) -> None:
        """Ask it to shut down and wait for that."""
        self._child.stop()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._child.kill()

    def pause(self) -> None:
        """Freeze it."""
        self._child.pause()

    def resume(self) -> None:
        """Unfreeze it."""
        self._child.resume()

    def close(self) -> None:
        """End it and remove its data."""
        if self._process is not None:
            if self._keep:
                self.stop()
            self.kill()
        if self._tree is not None and not self._keep:
            remove_tree(self._tree)
            self._tree = self._process = self._ports = None

    def _address(self) -> tuple[int, ...]:
        if self._ports is None:
            raise ServerStartError("Restate has no address before its first start: call start().")
        return self._ports

    def _first_start(self, ports: tuple[int, ...]) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        settings = _server_settings(ports, self.directory / "data") | self._configuration
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]  # JSON scalars are TOML's
        (self.directory / "restate.toml").write_text("".join(lines))
        try:
            self._run(ports)
        except ServerStartError:
            self._child.kill()
            raise

    def _run(self, ports: tuple[int, ...]) -> None:
        self._child.start()
        urls = (f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}")
        self._child.wait_ready(lambda: restate_answers(*urls), timeout=self._start_timeout)


class GivenRestate:
    """A Restate that runs already, given by its addresses and the name by which it reaches services on this machine."""

    def __init__(self, ingress_url: str, admin_url: str, services_host: str | None = None) -> None:
        self._services_host = services_host or LOOPBACK
        self._ingress_url = ingress_url.rstrip("/")
        self._admin_url = admin_url.rstrip("/")

    @property
    def ingress_url(self) -> str:
        """The given ingress address."""
        return self._ingress_url

    @property
    def admin_url(self) -> str:
        """The given admin address."""
        return self._admin_url

    @property
    def services_host(self) -> str:
        """The given name; by default the loopback."""
        return self._services_host

    @property
    def description(self) -> str:
        """What is used, where."""
        return f"Restate as given: ingress {self._ingress_url}, admin {self._admin_url}"

    def start(self) -> None:
        """Check that it answers and is new enough.

        Raises:
            ServerStartError: it does not answer within `ANSWER_TIMEOUT_S`.
            UnsupportedServerError: it is older than 1.7.0.
        """
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while not _answers(f"{self._admin_url}/health"):
            if time.monotonic() > deadline:
                raise ServerStartError(
                    f"No Restate answers on {self._admin_url}: start it, or unset KALLBACK_TEST_RESTATE_ADMIN."
                )
            time.sleep(0.1)
        with urllib.request.urlopen(f"{self._admin_url}/version", timeout=5) as answer:  # noqa: S310 - the user's URL
            version = str(json.load(answer)["version"])
        if tuple(int(part) for part in version.partition("-")[0].split(".")) < LEAST_RESTATE:
            raise UnsupportedServerError(f"Restate on {self._admin_url} is {version}, kallback needs 1.7.0 or later.")

    def stop(self) -> None:
        """Refuse: this process did not start it."""
        raise NotOursError(f"Restate on {self._admin_url} was given by its address: stop it where it runs.")

    kill = pause = resume = stop

    def close(self) -> None:
        """Leave it alone."""


def restate_answers(ingress_url: str, admin_url: str) -> bool:
    """Return whether ingress and admin API answer now."""
    return _answers(f"{admin_url}/health") and _answers(f"{ingress_url}/restate/health")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1.0) as answer:  # noqa: S310 - http to a server of this test
            return bool(answer.status == 200)  # noqa: PLR2004 - OK
    except OSError:  # URLError and TimeoutError are
        return False


def _server_settings(ports: tuple[int, ...], data: Path) -> dict[str, Setting]:
    ingress, admin, node = ports
    return {
        "base-dir": str(data),
        "node-name": "kallback",
        "cluster-name": "kallback",
        "listen-mode": "tcp",
        "disable-telemetry": True,
        "bind-address": f"127.0.0.1:{node}",
        "advertised-address": f"http://127.0.0.1:{node}/",
        "ingress.bind-address": f"127.0.0.1:{ingress}",
        "admin.bind-address": f"127.0.0.1:{admin}",
        "default-num-partitions": 4,
        "rocksdb-total-memory-size": "256 MiB",
        "log-format": "compact",
        "log-disable-ansi-codes": True,
    }
