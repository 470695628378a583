"""What the containers have in common: a server that keeps its ports and its data through stop and kill.

Docker gives a container that is started again another port, unless the port was chosen when it was created. So the
ports are chosen here, before the first start, which also tells Kafka what to advertise.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final, Self

from docker.errors import APIError, DockerException, ImageNotFound
from testcontainers.core.container import DockerContainer

from kallback.testing.containers.engine import published_host, require_engine
from kallback.testing.errors import NoServerError, ServerStartError
from kallback.testing.servers.ports import with_free_ports
from kallback.testing.servers.processes import forget_container, watch_container

if TYPE_CHECKING:
    from types import TracebackType

_START_TIMEOUT_S: Final = 90.0
_STOP_TIMEOUT_S: Final = 30
_POLL_INTERVAL_S: Final = 0.1
_LAST_LINES: Final = 15


class ContainerServer(DockerContainer):
    """A server in a container; see `kallback.testing.servers.base.Server` for what its calls mean.

    Unlike testcontainers' own, `stop` keeps the container, so that `start` goes on with its data: `close` removes it.

    Args:
        image: what to run.
        wanted: its ports on this side, None for free ones.
        inner: the same ports in the container.
        keep: `close` stops the container and keeps it.
        container: testcontainers' further arguments.

    Raises:
        NoServerError: no Docker engine answers.
    """

    def __init__(
        self,
        image: str,
        *,
        wanted: tuple[int | None, ...],
        inner: tuple[int, ...],
        keep: bool = False,
        **container: Any,
    ) -> None:
        require_engine()
        super().__init__(image, **container)
        self.host: Final = published_host(self.get_docker_client())
        self._wanted = wanted
        self._inner = inner
        self._bound: tuple[int, ...] | None = None
        self._keep = keep

    @property
    def description(self) -> str:
        """What runs, where."""
        where = ", ".join(f"{self.host}:{port}" for port in self._bound or ()) or "not started"
        return f"{self.image} on {where} (container {self._identity})"

    def start(self) -> Self:
        """Start it, or start it again with its ports and data; return when it answers a client.

        Raises:
            NoServerError: there is no such image here, and it cannot be pulled.
            ServerStartError: it does not start; carries its last log lines.
        """
        if self._bound is None:
            with_free_ports(self._wanted, self._first_start)
        else:
            self.get_wrapped_container().start()
            self._wait_ready()
        return self

    def stop(
        self,
        force: bool = False,  # noqa: FBT001, FBT002 - testcontainers' signature
        delete_volume: bool = False,  # noqa: FBT001, FBT002 - testcontainers' signature
    ) -> None:
        """Ask it to end and wait for that; the container stays, unless `force` asks for what testcontainers does."""
        if force or delete_volume:
            self._remove()
        elif self._state() == "paused":
            self.resume()
        if self._state() == "running":
            self.get_wrapped_container().stop(timeout=_STOP_TIMEOUT_S)

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._state() in {"running", "paused"}:
            self.get_wrapped_container().kill()
            self.get_wrapped_container().wait(timeout=_STOP_TIMEOUT_S)

    def pause(self) -> None:
        """Freeze it."""
        if self._state() == "running":
            self.get_wrapped_container().pause()

    def resume(self) -> None:
        """Unfreeze it."""
        if self._state() == "paused":
            self.get_wrapped_container().unpause()

    def close(self) -> None:
        """End it and remove it with its data."""
        if self._keep:
            self.stop()
        else:
            self._remove()
        self.get_docker_client().client.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def prepare(self) -> None:
        """Set the environment, before the container is made; the ports are known."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it does its work."""

    @property
    def bound(self) -> tuple[int, ...]:
        """Its ports on this side.

        Raises:
            ServerStartError: it was never started, so it has none yet.
        """
        if self._bound is None:
            raise ServerStartError(f"{self.image} has no address before its first start: call start().")
        return self._bound

    def log_tail(self, lines: int = _LAST_LINES) -> str:
        """Its last lines."""
        return self.get_wrapped_container().logs(tail=lines).decode(errors="replace").strip() or "(no output)"

    def _first_start(self, ports: tuple[int, ...]) -> None:
        self._bound = ports
        for inner, port in zip(self._inner, ports, strict=True):
            self.with_bind_ports(inner, port)
        self.prepare()
        try:
            self._create()
            watch_container(self._identity)
            self._wait_ready()
        except (NoServerError, ServerStartError):
            self._remove()
            raise

    def _create(self) -> None:
        try:
            super().start()
        except ImageNotFound as error:
            raise NoServerError(_no_image(self.image, error)) from None
        except APIError as error:
            if self._container is None:
                raise NoServerError(_no_image(self.image, error)) from None
            raise ServerStartError(f"the container of {self.image} did not start: {error.explanation}") from None
        except DockerException as error:
            raise ServerStartError(f"the container of {self.image} did not start: {error}") from None

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self.answers():
            if self._state() not in {"running", "created", "restarting"}:
                raise ServerStartError(f"{self.image} ended before it was ready. Its last lines:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServerStartError(
                    f"{self.image} did not answer within {_START_TIMEOUT_S:g} s. Its last lines:\n{self.log_tail()}"
                )
            time.sleep(_POLL_INTERVAL_S)

    def _state(self) -> str:
        if self._container is None:
            return "absent"
        self._container.reload()
        return str(self._container.status)

    def _remove(self) -> None:
        if self._container is not None:
            identity = self._identity
            self._container.remove(force=True, v=True)
            forget_container(identity)
        self._container = self._bound = None

    @property
    def _identity(self) -> str:
        return "none" if self._container is None else str(self._container.short_id)


def _no_image(image: str, error: APIError) -> str:
    return (
        f"The image {image}, or testcontainers' Ryuk, is not here and cannot be pulled ({error.explanation}): load or "
        "build it under that name (for Ryuk: set TESTCONTAINERS_RYUK_DISABLED=true)."
    )
