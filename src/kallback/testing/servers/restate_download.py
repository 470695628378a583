"""The restate-server binary: given by path, found on PATH, or fetched once from npm."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from kallback.protocol.errors import UnsupportedServerError
from kallback.testing.errors import NoServerError
from kallback.testing.servers.cache import cached

if TYPE_CHECKING:
    from kallback.testing.environment import ServerEnvironment

RESTATE_VERSION = "1.7.12"
LEAST_RESTATE = (1, 7, 0)  # before it, an accepted completion could be lost when a partition changed its leader
_DOWNLOAD_TIMEOUT = 600


def find_restate(environment: ServerEnvironment, executable: Path | None = None) -> Path:
    """Return a restate-server that is new enough, downloading it if this machine has none.

    Raises:
        NoServerError: there is none and npm is missing or fails.
        UnsupportedServerError: the one that was given is too old.
    """
    given = executable or environment.restate_server
    if given is not None:
        return check_version(given)
    on_path = shutil.which("restate-server")
    if on_path is not None:
        return check_version(Path(on_path))
    entry = cached(environment.cache, f"restate-server-{RESTATE_VERSION}", _download)
    return check_version(_binary(entry))


def check_version(executable: Path) -> Path:
    """Return the executable if it is new enough.

    Raises:
        NoServerError: it is no restate-server.
        UnsupportedServerError: it is older than 1.7.0.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the executable that we are to run
            [str(executable), "--version"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise NoServerError(f"{executable} cannot be run ({error.strerror}); set KALLBACK_RESTATE_SERVER.") from error
    found = re.search(r"restate-server (\d+)\.(\d+)\.(\d+)", done.stdout)
    if found is None:
        raise NoServerError(f"{executable} does not say a restate-server version; set KALLBACK_RESTATE_SERVER.")
    if tuple(int(part) for part in found.groups()) < LEAST_RESTATE:
        raise UnsupportedServerError(
            f"{executable} is {found[0]}, kallback needs 1.7.0 or later: "
            f"npm install -g @restatedev/restate-server@{RESTATE_VERSION}."
        )
    return executable


def _binary(entry: Path) -> Path:
    for path in sorted(entry.glob("node_modules/@restatedev/restate-server-*/bin/restate-server")):
        return path
    raise NoServerError(
        f"npm has no restate-server for this kind of machine (looked in {entry}): set KALLBACK_RESTATE_SERVER."
    )


def _download(target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NoServerError(
            "Restate's server comes through npm: no npm on PATH; install it (Debian: apt install npm), "
            "or put a restate-server on PATH."
        )
    package = f"@restatedev/restate-server@{RESTATE_VERSION}"
    command = [npm, "install", "--prefix", str(target), package, "--no-package-lock", "--ignore-scripts"]
    done = subprocess.run(  # noqa: S603 - our own arguments
        command, capture_output=True, text=True, check=False, timeout=_DOWNLOAD_TIMEOUT, cwd=target
    )
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
        raise NoServerError(f"npm could not fetch {package}; check its network settings. Its last lines:\n{last}")
    _binary(target)
