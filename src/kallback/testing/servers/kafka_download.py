"""Java and Kafka's jars: found, fetched once, with a class archive that halves the start.

Maven resolves `kafka_jars/pom.xml`, which ships with this package. The archive (JDK class data sharing) is made by
`archive_classes` from a broker that ran once; a broker starts without it too.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from kallback.testing.errors import NoServerError
from kallback.testing.servers.cache import cached

if TYPE_CHECKING:
    from kallback.testing.environment import ServerEnvironment

KAFKA_VERSION = "4.4.0"
_LEAST_JAVA = 17
_DOWNLOAD_TIMEOUT = 600
_LIGHT = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m")  # small and quick to start, not fast


@dataclass(frozen=True, slots=True)
class KafkaSoftware:
    """What it takes to run a broker.

    Attributes:
        java: the executable.
        libraries: the directory of jars.
        archive: where the class archive is or would be.
    """

    java: Path
    libraries: Path
    archive: Path

    def command(self, main_class: str, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
        """Return the command line that runs a class of Kafka's."""
        archive = (f"-XX:SharedArchiveFile={self.archive}", "-Xshare:auto") if self.archive.exists() else ()
        logging = ("-Dlog4j2.level=INFO",)
        path = str(self.libraries / "*")
        return [str(self.java), *_LIGHT, *(options or archive), *logging, "-cp", path, main_class, *arguments]


def find_kafka(environment: ServerEnvironment) -> KafkaSoftware:
    """Return Kafka's software, downloading the jars if this machine does not have them yet.

    Raises:
        NoServerError: Java or Maven is missing, or the download failed.
    """
    java, version = find_java(environment)
    pom = files("kallback.testing").joinpath("kafka_jars/pom.xml").read_bytes()
    entry = f"kafka-{KAFKA_VERSION}-{hashlib.sha256(pom).hexdigest()[:8]}"
    libraries = cached(environment.cache, entry, lambda target: _download(pom, target))
    return KafkaSoftware(java, libraries, environment.cache / f"{entry}-java-{version}.jsa")


def find_java(environment: ServerEnvironment) -> tuple[Path, str]:
    """Return a Java of 17 or later and its version.

    Raises:
        NoServerError: there is none.
    """
    home = environment.java_home
    candidates = [str(home / "bin" / "java")] if home else []
    remedy = f"install Java {_LEAST_JAVA} or later (Debian: apt install openjdk-17-jre-headless)"
    seen = "no java on PATH"
    for candidate in [*candidates, shutil.which("java")]:
        if candidate is None or not Path(candidate).exists():
            continue
        done = subprocess.run([candidate, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
        found = re.search(r'version "(\d+)([^"]*)"', done.stderr + done.stdout)
        if found and int(found[1]) >= _LEAST_JAVA:
            return Path(candidate), found[1] + found[2]
        seen = f"{candidate} is Java {found[1] + found[2]}" if found else f"{candidate} does not say its version"
    raise NoServerError(f"Kafka needs Java: {seen}; {remedy}.")


def _download(pom: bytes, target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise NoServerError("Kafka's jars come through Maven: no mvn on PATH; install it (Debian: apt install maven).")
    (target / "pom.xml").write_bytes(pom)
    command = [maven, "-q", "-B", "-f", str(target / "pom.xml"), "dependency:copy-dependencies"]
    command += [f"-DoutputDirectory={target}", "-DincludeScope=runtime"]
    done = subprocess.run(  # noqa: S603 - our own arguments
        command, capture_output=True, text=True, check=False, timeout=_DOWNLOAD_TIMEOUT
    )
    if done.returncode or not any(target.glob("kafka_*.jar")):
        last = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
        raise NoServerError(f"Maven could not fetch Kafka's jars; check its network settings. Its last lines:\n{last}")
