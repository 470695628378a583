"""`python -m kallback.testing.prepare`: download what local servers need, so that tests do not wait for it.

Also makes the class archive that halves Kafka's start: a broker runs once and writes it at its end.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from kallback.protocol.errors import KallbackError
from kallback.testing.environment import ServerEnvironment
from kallback.testing.servers.kafka import LocalKafka
from kallback.testing.software.kafka import find_kafka
from kallback.testing.software.progress import DownloadProgress
from kallback.testing.software.restate import find_restate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kallback.testing.software.kafka import KafkaSoftware


def main() -> int:
    """Prepare both servers; return 1 and say why if one cannot be had."""
    return prepare(ServerEnvironment.read(), sys.stdout)


def prepare(environment: ServerEnvironment, out: TextIO) -> int:
    """Get Restate's binary, Kafka's jars and its class archive; say where each is."""
    progress = DownloadProgress(out)
    steps: dict[str, Callable[[], Path]] = {
        "Restate": lambda: find_restate(environment, progress),
        "Kafka": lambda: make_class_archive(find_kafka(environment, progress), progress),
    }
    failures = 0
    for name, step in steps.items():
        try:
            progress.say(f"{name}: {step()}")
        except KallbackError as error:
            failures += 1
            progress.say(f"{name}: {error}")
    return 1 if failures else 0


def make_class_archive(software: KafkaSoftware, progress: DownloadProgress) -> Path:
    """Run a broker once so that it writes its class archive; return the jars' directory."""
    if not software.archive.exists():
        progress.say("Starting Kafka once, which makes later starts faster ...")
        unfinished = software.archive.with_suffix(f".{os.getpid()}")
        server = LocalKafka(software, options=(f"-XX:ArchiveClassesAtExit={unfinished}",))
        try:
            server.start()
            server.stop()
            if unfinished.exists():
                unfinished.replace(software.archive)
        finally:
            server.close()
            unfinished.unlink(missing_ok=True)
    return software.libraries


if __name__ == "__main__":
    sys.exit(main())
