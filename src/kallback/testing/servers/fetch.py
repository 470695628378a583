"""`python -m kallback.testing.servers.fetch`: get what local servers need, so that tests do not wait for downloads.

Also makes the class archive that halves Kafka's start: a broker runs once and writes it at its end.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from kallback.protocol.errors import ConfigurationError
from kallback.testing.environment import ServerEnvironment
from kallback.testing.servers.kafka import LocalKafka
from kallback.testing.servers.kafka_download import find_kafka
from kallback.testing.servers.restate_download import find_restate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kallback.testing.servers.kafka_download import KafkaSoftware


def main() -> int:
    """Fetch both; return 1 and say why if one cannot be had."""
    environment = ServerEnvironment.read()
    return fetch(environment, sys.stdout)


def fetch(environment: ServerEnvironment, out: TextIO) -> int:
    """Fetch Restate's binary, Kafka's jars and its class archive; one line each."""
    steps: dict[str, Callable[[], Path]] = {
        "Restate": lambda: find_restate(environment),
        "Kafka": lambda: archive_classes(find_kafka(environment)),
    }
    failures = 0
    for name, step in steps.items():
        try:
            print(f"{name}: {step()}", file=out, flush=True)
        except ConfigurationError as error:
            failures += 1
            print(f"{name}: {error}", file=out, flush=True)
    return 1 if failures else 0


def archive_classes(software: KafkaSoftware) -> Path:
    """Run a broker once so that it writes its class archive; return the jars' directory."""
    if not software.archive.exists():
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
