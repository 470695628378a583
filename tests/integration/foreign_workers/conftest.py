"""The workers of `examples/workers`, built as their README says, each in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from kallback.testing import KafkaServer
from kallback.testing.servers.processes import ChildProcess

EXAMPLES: Final = Path(__file__).parents[3] / "examples" / "workers"
_BUILD_S: Final = 240
"""Seconds; the first build of a language downloads its libraries."""


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


TOOLCHAINS: Final = {
    "python": Toolchain((), (), (sys.executable, "worker.py")),
    "java": Toolchain(
        ("java", "mvn"),
        (("mvn", "-q", "-B", "compile", "dependency:copy-dependencies"),),
        ("java", "-cp", "target/classes:target/dependency/*", "Kitchen"),
    ),
    "go": Toolchain(("go",), (("go", "build", "-o", "kitchen", "."),), ("./kitchen",)),
    "node": Toolchain(
        ("node", "npm"), (("npm", "install", "--no-audit", "--no-fund", "--silent"),), ("node", "worker.js")
    ),
}


@dataclass(frozen=True)
class ForeignWorker:
    """A built program that knows nothing of kallback but its wire.

    Attributes:
        folder: where it was built.
    """

    language: str
    folder: Path

    @contextmanager
    def running(self, kafka: KafkaServer, tasks: str, results: str) -> Generator[ChildProcess]:
        """Run it on these topics, and end it."""
        places = {"BROKERS": kafka.bootstrap_servers, "GROUP": tasks, "TASKS": tasks, "RESULTS": results}
        log = self.folder / "worker.log"
        command = TOOLCHAINS[self.language].starts
        process = ChildProcess(
            f"{self.language} worker", command, log=log, env={**os.environ, **places}, cwd=self.folder
        )
        try:
            process.start()
            yield process
        finally:
            process.kill()


def build(language: str, folder: Path) -> ForeignWorker:
    """Build a copy of a program, so that nothing is left in the repository; skip where that cannot be done here."""
    toolchain = TOOLCHAINS[language]
    if missing := [command for command in toolchain.needs if shutil.which(command) is None]:
        pytest.skip(f"no {' and '.join(missing)} on this machine")
    shutil.copytree(EXAMPLES / language, folder, dirs_exist_ok=True)
    for command in toolchain.builds:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_BUILD_S, check=False)
        if done.returncode:
            pytest.fail(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}", pytrace=False)
    return ForeignWorker(language, folder)


@pytest.fixture(scope="session")
def built_worker(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ForeignWorker]:
    """Build the worker of a language, once for all tests."""
    built: dict[str, ForeignWorker] = {}

    def once(language: str) -> ForeignWorker:
        if language not in built:
            built[language] = build(language, tmp_path_factory.mktemp(f"worker-{language}"))
        return built[language]

    return once
