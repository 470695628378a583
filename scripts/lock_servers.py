"""Pin Kafka's jars and Restate's binaries again: lock_servers.py FOLDER_OF_PINS. Needs Maven and npm.

The versions are in `kallback.testing.software`. Maven resolves what Kafka needs, and each file that it fetched is
hashed; npm says the checksums of its packages.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from kallback.testing.software.kafka import KAFKA_VERSION
from kallback.testing.software.restate import RESTATE_VERSION

LOG4J_VERSION: Final = "2.25.4"  # without its slf4j binding Kafka logs nothing
ROOTS: Final = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_VERSION),
)
MACHINES: Final = ("darwin-arm64", "darwin-x64", "linux-arm64", "linux-x64")


def main(pins: Path) -> None:
    """Write both files."""
    (pins / "kafka.txt").write_text("".join(f"{line}\n" for line in kafka_jars()))
    integrity = {name: npm_integrity(name) for name in (f"@restatedev/restate-server-{each}" for each in MACHINES)}
    (pins / "restate.json").write_text(json.dumps(integrity, indent=2) + "\n")


def kafka_jars() -> list[str]:
    """Return `group:artifact:version sha256:SUM` of each jar, sorted."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dependencies = "".join(
            f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
            "</dependency>"
            for group, artifact, version in ROOTS
        )
        (folder / "pom.xml").write_text(
            "<project><modelVersion>4.0.0</modelVersion><groupId>kallback</groupId><artifactId>kafka</artifactId>"
            f"<version>1</version><packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>"
        )
        goals = ("dependency:copy-dependencies", "dependency:list")
        options = (f"-DoutputDirectory={folder}", "-DincludeScope=runtime", f"-DoutputFile={folder / 'list.txt'}")
        run("mvn", "-q", "-B", "-f", str(folder / "pom.xml"), *goals, *options)
        listed = re.findall(r"([\w.-]+):([\w.-]+):jar:([\w.-]+):(?:runtime|compile)", (folder / "list.txt").read_text())
        return sorted(
            f"{group}:{artifact}:{version} sha256:"
            + hashlib.sha256((folder / f"{artifact}-{version}.jar").read_bytes()).hexdigest()
            for group, artifact, version in listed
        )


def npm_integrity(package: str) -> str:
    """Return the checksum that npm has of a package."""
    return run("npm", "view", f"{package}@{RESTATE_VERSION}", "dist.integrity").strip()


def run(*command: str) -> str:
    """Run a command that must succeed and return what it prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - our own arguments


if __name__ == "__main__":
    main(Path(sys.argv[1]))
