"""pip, npm, Maven and jgo as child processes: one way to run them, one error with their last lines.

Which registries they ask is the configuration of the machine; this package contains no address.
"""

from __future__ import annotations

import importlib.util
import os
import re
import ssl
import subprocess
import sys
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from kallback.testing.errors import NoServerError
from kallback.testing.software.cache import cached

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kallback.testing.environment import ServerEnvironment
    from kallback.testing.software.progress import DownloadProgress

_TIMEOUT_S: Final = 1800  # 100 MB on a slow line
_LAST_LINES: Final = 8


def run_client(
    command: Sequence[str], *, purpose: str, cwd: Path, env: Mapping[str, str] | None = None, text: str | None = None
) -> None:
    """Run a package client in a folder, with `text` as its input.

    Raises:
        NoServerError: it fails; the sentence has its last lines.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            list(command),
            input=text or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
            cwd=cwd,
            env=client_environment() | dict(env or {}),
        )
    except subprocess.TimeoutExpired:
        raise NoServerError(f"{purpose} did not end within {_TIMEOUT_S} s; check its network settings.") from None
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-_LAST_LINES:])
        raise NoServerError(f"{purpose} failed; check its network settings. Its last lines:\n{last}")


def client_environment() -> dict[str, str]:
    """Return this process's environment, with the certificates that Python trusts also for requests and for npm."""
    environment = dict(os.environ)
    authorities = ssl.get_default_verify_paths().cafile
    if authorities:  # None where Python has found none, against the annotation
        environment.setdefault("REQUESTS_CA_BUNDLE", authorities)
        environment.setdefault("NODE_EXTRA_CA_CERTS", authorities)
    return environment


def pinned(name: str) -> str:
    """Return the text of a file in the folder `pins`."""
    return files("kallback.testing.software").joinpath(f"pins/{name}").read_text()


def pinned_version(package: str, pins: str) -> str:
    """Return the version of a Python package in a text of pins."""
    found = re.search(rf"^{re.escape(package)}==(\S+)", pins, re.MULTILINE)
    if found is None:
        raise AssertionError(f"{package} is not pinned")
    return found[1]


def cached_wheels(
    environment: ServerEnvironment,
    package: str,
    pins_file: str,
    what: str,
    progress: DownloadProgress,
    *,
    compiled: bool = False,
) -> Path:
    """Return a folder of the cache that has a Python package and what it needs; pip fills it the first time.

    Args:
        environment: says where the cache is, and whether downloads are allowed.
        package: the package; its version names the folder.
        pins_file: a requirements file with hashes in the folder `pins`.
        what: what a person is told is being downloaded.
        progress: where they are told.
        compiled: it has modules that are compiled for one version of Python.

    Raises:
        NoServerError: pip is missing or fails, or downloads are switched off.
    """
    pins = pinned(pins_file)
    suffix = f"-{sys.implementation.cache_tag}" if compiled else ""
    entry = f"{package}-{pinned_version(package, pins)}{suffix}"

    def fill(target: Path) -> None:
        environment.require_downloads(what)
        if importlib.util.find_spec("pip") is None:
            raise NoServerError(f'{what} comes through pip, which is not installed here: pip install "kallback[dev]"')
        requirements, temporary = target / "requirements.txt", target / "temporary"
        requirements.write_text(pins)
        temporary.mkdir()
        options = ("--no-user", "--no-input", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-compile")
        command = [sys.executable, "-m", "pip", "install", *options]
        command += ["--disable-pip-version-check", "--target", str(target), "--requirement", str(requirements)]
        with progress.downloading(f"{what}, with pip", target):
            run_client(command, purpose=f"pip install {package}", cwd=target, env={"TMPDIR": str(temporary)})

    return cached(environment.cache, entry, fill, progress)
