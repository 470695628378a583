"""The workers of `examples/workers`, built as their README says, outside of the repository.

What is built stays in the folder of downloads, under a name that depends on the files: it is built once per change.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from kallback.testing import KafkaServer
from kallback.testing.environment import ServerEnvironment
from kallback.testing.servers.processes import ChildProcess
from kallback.testing.software.cache import cached

EXAMPLES: Final = Path(__file__).parents[3] / "examples" / "workers"
_BUILD_S: Final = 900
"""Seconds; the first build of a language downloads its libraries."""

_NO_DOWNLOAD: Final = re.compile(
    r"Could not (?:transfer|resolve)|Non-resolvable|failed to (?:download|fetch|get)|dial tcp"
    r"|ENOTFOUND|ECONNREFUSED|EAI_AGAIN|E40[34]"
)
"""What Maven, Cargo, npm and Go say."""


@dataclass(frozen=True)
class Toolchain:
    """How a program of one language is built and started.

    Attributes:
        needs: commands that must be on this machine.
        builds: commands that are run in the program's folder first.
        starts: the command that runs it there.
    """

    needs: tuple[str, ...]
    builds: tuple[tuple[str, ...], ...]
    starts: tuple[str, ...]


_MAVEN: Final = ("mvn", "-q", "-B")
_PACKAGES: Final = ("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
_CLASSES: Final = ("java", "-cp", "target/classes:target/dependency/*")
_JARS: Final = ((*_MAVEN, "compile", "dependency:copy-dependencies"),)
TOOLCHAINS: Final = {
    "python": Toolchain((), (), (sys.executable, "worker.py")),
    "python-cancels": Toolchain((), (), (sys.executable, "kitchen.py")),
    "java": Toolchain(("java", "mvn"), _JARS, (*_CLASSES, "Kitchen")),
    "java-cancels": Toolchain(("java", "mvn"), _JARS, (*_CLASSES, "KitchenWithCancels")),
    "java-transactional": Toolchain(("java", "mvn"), _JARS, (*_CLASSES, "KitchenInTransactions")),
    "spring": Toolchain(("java", "mvn"), ((*_MAVEN, "package"),), ("java", "-jar", "target/kitchen.jar")),
    "go": Toolchain(("go",), (("go", "build", "-o", "kitchen", "."),), ("./kitchen",)),
    "node": Toolchain(("node", "npm"), (_PACKAGES,), ("node", "worker.js")),
    "node-cancels": Toolchain(("node", "npm"), (_PACKAGES,), ("node", "kitchen.js")),
    "nestjs": Toolchain(("node", "npm"), (_PACKAGES, ("npm", "run", "--silent", "build")), ("node", "dist/main.js")),
    "rust": Toolchain(("cargo", "cc", "make"), (("cargo", "build", "--quiet"),), ("target/debug/kitchen",)),
}


@dataclass(frozen=True)
class ForeignWorker:
    """A built program that knows nothing of kallback but its wire.

    Attributes:
        folder: where it was built.
    """

    language: str
    folder: Path

    @property
    def command(self) -> str:
        """The command that runs it, in its folder, as a shell takes it."""
        return shlex.join(TOOLCHAINS[self.language].starts)

    def places(self, kafka: KafkaServer, tasks: str, results: str) -> dict[str, str]:
        """The environment in which it runs on these topics."""
        own = {"BROKERS": kafka.bootstrap_servers, "GROUP": tasks, "TASKS": tasks, "RESULTS": results}
        return {**os.environ, **own, "CONTROL": f"{tasks}.control", "PROGRESS": f"{tasks}.progress"}

    @contextmanager
    def running(self, kafka: KafkaServer, tasks: str, results: str, log: Path) -> Generator[ChildProcess]:
        """Run it on these topics, and end it."""
        command, places = TOOLCHAINS[self.language].starts, self.places(kafka, tasks, results)
        process = ChildProcess(f"{self.language} worker", command, log=log, env=places, cwd=self.folder)
        try:
            process.start()
            yield process
        finally:
            process.kill()


def build(language: str) -> ForeignWorker:
    """Build a copy of a program, once for each state of its files; skip where that cannot be done here."""
    toolchain, source = TOOLCHAINS[language], EXAMPLES / language
    if missing := [command for command in toolchain.needs if shutil.which(command) is None]:
        pytest.skip(f"no {' and '.join(missing)} on this machine")
    files = sorted(path for path in source.rglob("*") if path.is_file())
    states = [str(path.relative_to(source)).encode() + path.read_bytes() for path in files]
    state = hashlib.sha256(b"".join((repr(toolchain).encode(), *states))).hexdigest()[:12]

    def fill(folder: Path) -> None:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        for command in toolchain.builds:
            _run(command, folder)

    return ForeignWorker(
        language, cached(ServerEnvironment.read().cache / "foreign-workers", f"{language}-{state}", fill)
    )


@dataclass(frozen=True)
class Bug:
    """A change of a program: its work raises what the program does not expect.

    Attributes:
        program: the file.
        refuses: what raises there for an order that cannot be read, in the program's own way.
        raises: what raises in the place of that.
    """

    program: str
    refuses: str
    raises: str


def build_with(language: str, bug: Bug) -> ForeignWorker:
    """Build a program with a bug, from a copy of what was built without it: its libraries need no second build."""
    good, toolchain = build(language), TOOLCHAINS[language]
    text = (good.folder / bug.program).read_text()
    assert bug.refuses in text, f"{bug.program} has no {bug.refuses!r}"
    changed = text.replace(bug.refuses, bug.raises)
    state = hashlib.sha256(repr((good.folder.name, changed)).encode()).hexdigest()[:12]

    def fill(folder: Path) -> None:
        shutil.copytree(good.folder, folder, dirs_exist_ok=True, symlinks=True)
        (folder / bug.program).write_text(changed)
        for command in toolchain.builds:
            _run(command, folder)

    name = f"{language}-with-a-bug-{state}"
    return ForeignWorker(language, cached(ServerEnvironment.read().cache / "foreign-workers", name, fill))


def _run(command: tuple[str, ...], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_BUILD_S, check=False)
    if not done.returncode:
        return
    said = done.stdout + done.stderr
    if _NO_DOWNLOAD.search(said):
        pytest.skip(f"{' '.join(command)} cannot download what it needs on this machine")
    pytest.fail(f"{' '.join(command)} failed:\n{said}", pytrace=False)


@pytest.fixture(params=TOOLCHAINS)
def foreign_worker(request: pytest.FixtureRequest) -> ForeignWorker:
    """A worker of `examples/workers`, built; each test that asks for it runs for each of them."""
    return build(request.param)
