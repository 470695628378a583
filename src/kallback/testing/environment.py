"""Environment variables for test servers: the one place in this package that reads them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from kallback.testing.errors import NoServerError

if TYPE_CHECKING:
    from collections.abc import Mapping


class ServerKind(StrEnum):
    """How to run servers that are not given."""

    LOCAL = "local"
    CONTAINERS = "containers"


@dataclass(frozen=True, slots=True)
class ServerEnvironment:
    """Addresses of running servers, and where downloads are kept.

    Attributes:
        kafka: bootstrap servers of a running Kafka (`KALLBACK_TEST_KAFKA`).
        restate_ingress: URL of a running Restate's ingress (`KALLBACK_TEST_RESTATE_INGRESS`).
        restate_admin: URL of the same Restate's admin API (`KALLBACK_TEST_RESTATE_ADMIN`).
        services_host: the name by which that Restate reaches services of this machine
            (`KALLBACK_TEST_SERVICES_HOST`; a Restate in a container: `host.docker.internal`).
        servers: how to run servers that are not given (`KALLBACK_TEST_SERVERS`: `local`, the default, or
            `containers`).
        restate_server: path of a restate-server binary (`KALLBACK_RESTATE_SERVER`).
        java_home: a Java that is preferred to the one on PATH (`JAVA_HOME`).
        cache: directory of downloads (`KALLBACK_CACHE`; else `kallback` in the XDG cache directory).
        downloads: whether what this machine lacks may be downloaded (`KALLBACK_TEST_DOWNLOADS=0`: no).
        require_servers: a server that cannot be started fails tests instead of skipping them
            (`KALLBACK_REQUIRE_SERVERS=1`).
    """

    kafka: str | None
    restate_ingress: str | None
    restate_admin: str | None
    services_host: str | None
    servers: ServerKind
    restate_server: Path | None
    java_home: Path | None
    cache: Path
    downloads: bool
    require_servers: bool

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> ServerEnvironment:
        """Read a mapping, by default this process's environment."""
        source = os.environ if environ is None else environ
        home_cache = Path(source.get("XDG_CACHE_HOME") or Path(source.get("HOME") or "~").expanduser() / ".cache")
        return cls(
            kafka=source.get("KALLBACK_TEST_KAFKA") or None,
            restate_ingress=source.get("KALLBACK_TEST_RESTATE_INGRESS") or None,
            restate_admin=source.get("KALLBACK_TEST_RESTATE_ADMIN") or None,
            services_host=source.get("KALLBACK_TEST_SERVICES_HOST") or None,
            servers=_kind(source.get("KALLBACK_TEST_SERVERS")),
            restate_server=_path(source.get("KALLBACK_RESTATE_SERVER")),
            java_home=_path(source.get("JAVA_HOME")),
            cache=_path(source.get("KALLBACK_CACHE")) or home_cache / "kallback",
            downloads=source.get("KALLBACK_TEST_DOWNLOADS", "1") != "0",
            require_servers=source.get("KALLBACK_REQUIRE_SERVERS", "") not in ("", "0"),
        )

    def require_downloads(self, what: str) -> None:
        """Do nothing where downloads are allowed.

        Raises:
            NoServerError: they are not; names what would have been downloaded.
        """
        if not self.downloads:
            raise NoServerError(f"{what} is not downloaded, because KALLBACK_TEST_DOWNLOADS=0.")


def _kind(text: str | None) -> ServerKind:
    try:
        return ServerKind(text or ServerKind.LOCAL)
    except ValueError:
        choices = " or ".join(ServerKind)
        raise NoServerError(f"KALLBACK_TEST_SERVERS={text!r} is not a kind of servers: set {choices}.") from None


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None
