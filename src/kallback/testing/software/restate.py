"""The restate-server binary: given by path, found on PATH, or fetched once from npm."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kallback.protocol.errors import UnsupportedServerError
from kallback.testing.errors import NoServerError
from kallback.testing.software.cache import cached
from kallback.testing.software.node import find_npm
from kallback.testing.software.package_clients import pinned, run_client

if TYPE_CHECKING:
    from kallback.testing.environment import ServerEnvironment
    from kallback.testing.software.progress import DownloadProgress

RESTATE_VERSION: Final = "1.7.12"
LEAST_RESTATE: Final = (1, 7, 0)  # before it, an accepted completion could be lost when a partition changed its leader
_MACHINES: Final = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def find_restate(environment: ServerEnvironment, progress: DownloadProgress, *, executable: Path | None = None) -> Path:
    """Return a restate-server that is new enough, downloading it if this machine has none.

    Raises:
        NoServerError: there is none and it cannot be downloaded.
        UnsupportedServerError: the one that was given is too old.
    """
    given = executable or environment.restate_server
    if given is not None:
        return check_version(given)
    on_path = shutil.which("restate-server")
    if on_path is not None:
        return check_version(Path(on_path))
    package = platform_package()
    entry = cached(
        environment.cache,
        f"restate-server-{RESTATE_VERSION}",
        lambda target: _download(package, target, environment, progress),
        progress,
    )
    return check_version(_binary(package, entry))


def check_version(executable: Path) -> Path:
    """Return the executable if it is new enough.

    Raises:
        NoServerError: it is no restate-server.
        UnsupportedServerError: it is older than 1.7.0.
    """
    version = version_of(executable)
    if tuple(int(part) for part in version.split(".")) < LEAST_RESTATE:
        raise UnsupportedServerError(
            f"{executable} is restate-server {version}, kallback needs 1.7.0 or later: "
            f"npm install -g @restatedev/restate-server@{RESTATE_VERSION}."
        )
    return executable


def version_of(executable: Path) -> str:
    """Return the version that a restate-server says it has.

    Raises:
        NoServerError: it is no restate-server.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the executable that we are to run
            [str(executable), "--version"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise NoServerError(f"{executable} cannot be run ({error.strerror}); set KALLBACK_RESTATE_SERVER.") from error
    found = re.search(r"restate-server (\d+\.\d+\.\d+)", done.stdout)
    if found is None:
        raise NoServerError(f"{executable} does not say a restate-server version; set KALLBACK_RESTATE_SERVER.")
    return found[1]


def platform_package(system: str | None = None, machine: str | None = None) -> str:
    """Return the npm package that has the binary for a kind of machine, by default this one.

    Raises:
        NoServerError: there is none.
    """
    system, machine = (system or platform.system()).lower(), (machine or platform.machine()).lower()
    package = f"@restatedev/restate-server-{system}-{_MACHINES.get(machine, machine)}"
    if package not in json.loads(pinned("restate.json")):
        raise NoServerError(
            f"npm has no restate-server for {system} on {machine}: set KALLBACK_RESTATE_SERVER to a binary."
        )
    return package


def npm_project(package: str) -> dict[str, Any]:
    """Return package.json and package-lock.json that name one package with its checksum."""
    integrity = json.loads(pinned("restate.json"))[package]
    root = {"private": True, "dependencies": {package: RESTATE_VERSION}}
    locked = {"version": RESTATE_VERSION, "integrity": integrity}
    packages = {"": root, f"node_modules/{package}": locked}
    lock = {"lockfileVersion": 3, "requires": True, "packages": packages}
    return {"package.json": root, "package-lock.json": lock}


def _binary(package: str, entry: Path) -> Path:
    path = entry / "node_modules" / package / "bin" / "restate-server"
    if not path.exists():
        raise NoServerError(f"npm installed no restate-server (looked for {path}): set KALLBACK_RESTATE_SERVER.")
    return path


def _download(package: str, target: Path, environment: ServerEnvironment, progress: DownloadProgress) -> None:
    environment.require_downloads("Restate")
    npm = find_npm(environment, progress)
    for name, content in npm_project(package).items():
        (target / name).write_text(json.dumps(content, indent=2))
    command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    with progress.downloading("Restate (81 MB), with npm", target):
        run_client(command, purpose=f"npm install {package}", cwd=target)
    _binary(package, target)
