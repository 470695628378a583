"""Kafka's jars: pinned one by one, fetched once by Maven, or by jgo where there is no Maven.

The list in `pins/kafka.txt` is what Maven resolved for `kafka_2.13` and `log4j-slf4j-impl`, so nothing is resolved here
(and jgo, which resolves some of them to other versions, is asked for files only). The class archive (JDK class data
sharing) halves a broker's start; `kallback.testing.prepare` makes it, and a broker starts without it too.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kallback.testing.errors import NoServerError
from kallback.testing.software import jar_download
from kallback.testing.software.cache import cached
from kallback.testing.software.java import find_java
from kallback.testing.software.package_clients import cached_wheels, pinned, run_client

if TYPE_CHECKING:
    from pathlib import Path

    from kallback.testing.environment import ServerEnvironment
    from kallback.testing.software.java import Java
    from kallback.testing.software.progress import DownloadProgress

KAFKA_VERSION: Final = "4.4.0"
_SMALL: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m")  # small and quick to start, not fast


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
        return [str(self.java), *_SMALL, *(options or archive), *logging, "-cp", path, main_class, *arguments]


@dataclass(frozen=True, slots=True)
class PinnedJar:
    """One jar, by its coordinates in a Maven repository and its SHA-256 sum."""

    group: str
    artifact: str
    version: str
    sha256: str

    @classmethod
    def parse(cls, line: str) -> PinnedJar:
        """Read `group:artifact:version sha256:SUM`."""
        coordinates, _, digest = line.partition(" ")
        group, artifact, version = coordinates.split(":")
        return cls(group, artifact, version, digest.removeprefix("sha256:"))

    @property
    def file_name(self) -> str:
        """What it is called in a folder of jars."""
        return f"{self.artifact}-{self.version}.jar"


def find_kafka(environment: ServerEnvironment, progress: DownloadProgress) -> KafkaSoftware:
    """Return Kafka's software; download what this machine does not have.

    Raises:
        NoServerError: Java or the jars cannot be had.
    """
    java = find_java(environment, progress)
    pins = pinned("kafka.txt")
    entry = f"kafka-{KAFKA_VERSION}-{hashlib.sha256(pins.encode()).hexdigest()[:8]}"
    jars = [PinnedJar.parse(line) for line in pins.splitlines()]

    def fill(target: Path) -> None:
        environment.require_downloads("Kafka")
        if shutil.which("mvn"):
            _fetch_with_maven(jars, target, java, progress)
        else:
            _fetch_with_jgo(jars, target, environment, progress)
        verify_jars(jars, target)

    libraries = cached(environment.cache, entry, fill, progress)
    return KafkaSoftware(java.executable, libraries, environment.cache / f"{entry}-java-{java.version}.jsa")


def verify_jars(jars: list[PinnedJar], folder: Path) -> None:
    """Compare a folder of jars with their checksums.

    Raises:
        NoServerError: one is missing or is another file.
    """
    for jar in jars:
        path = folder / jar.file_name
        if not path.exists():
            raise NoServerError(f"{jar.file_name} of Kafka was not downloaded; check Maven's network settings.")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != jar.sha256:
            raise NoServerError(
                f"{jar.group}:{jar.artifact}:{jar.version} has the checksum {found}, not {jar.sha256}: "
                "the Maven repository of this machine serves another file. Nothing of it was kept."
            )


def maven_project(jars: list[PinnedJar]) -> str:
    """Return a pom.xml that names exactly these jars and lets Maven add none."""
    dependencies = "\n".join(
        f"<dependency><groupId>{jar.group}</groupId><artifactId>{jar.artifact}</artifactId>"
        f"<version>{jar.version}</version><exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId>"
        "</exclusion></exclusions></dependency>"
        for jar in jars
    )
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>kallback.testing</groupId>"
        "<artifactId>kafka-server</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>\n{dependencies}\n</dependencies></project>\n"
    )


def _fetch_with_maven(jars: list[PinnedJar], target: Path, java: Java, progress: DownloadProgress) -> None:
    (target / "pom.xml").write_text(maven_project(jars))
    command = ["mvn", "-q", "-B", "-f", str(target / "pom.xml"), "dependency:copy-dependencies"]
    command += [f"-DoutputDirectory={target}", "-DincludeScope=runtime"]
    env = {} if shutil.which("java") else {"JAVA_HOME": str(java.home)}
    with progress.downloading("Kafka (43 MB), with Maven", target):
        run_client(command, purpose="Maven's download of Kafka", cwd=target, env=env)


def _fetch_with_jgo(
    jars: list[PinnedJar], target: Path, environment: ServerEnvironment, progress: DownloadProgress
) -> None:
    wheels = cached_wheels(environment, "jgo", "jgo.txt", "jgo for Kafka's jars (3 MB)", progress, compiled=True)
    command = [sys.executable, "-I", jar_download.__file__, str(wheels), str(target)]
    coordinates = "".join(f"{jar.group}:{jar.artifact}:{jar.version}\n" for jar in jars)
    with progress.downloading("Kafka (43 MB), with jgo", target):
        run_client(command, purpose="jgo's download of Kafka", cwd=target, text=coordinates)
