"""Kafka's jars: fetched once, by Maven or by jgo, and compared with their checksums."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kallback.testing.errors import NoServerError
from kallback.testing.software import jar_download, kafka
from kallback.testing.software.kafka import PinnedJar, find_kafka, maven_project
from kallback.testing.software.package_clients import pinned

if TYPE_CHECKING:
    from tests.unit.testing.software.conftest import BareMachine

JAVA_17 = """echo 'openjdk version "17.0.9" 2023-10-17' >&2"""
CONTENT = b"a jar"
JAR = PinnedJar("org.apache.kafka", "kafka_2.13", "4.4.0", hashlib.sha256(CONTENT).hexdigest())
MAVEN = """for a; do case $a in -DoutputDirectory=*) printf 'a jar' > "${a#*=}/kafka_2.13-4.4.0.jar";; esac; done"""

JGO = """
from pathlib import Path
from types import SimpleNamespace

GlobalSettings = SimpleNamespace(load=lambda: SimpleNamespace(repositories={"mirror": "http://mirror"}))


class MavenContext:
    failures = 0

    def __init__(self, *, repo_cache, local_repos, remote_repos, timeout):
        assert remote_repos == {"mirror": "http://mirror"}
        self.folder = repo_cache

    def project(self, group, artifact):
        self.artifact_id = artifact
        return self

    def at_version(self, version):
        self.version = version
        return self

    def artifact(self):
        return self

    def resolve(self):
        MavenContext.failures += 1
        if MavenContext.failures < 3:
            raise OSError("connection reset")
        path = self.folder / f"{self.artifact_id}-{self.version}.jar"
        path.write_bytes(b"a jar")
        return path
"""


@pytest.fixture
def one_jar(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Kafka of one jar."""
    line = f"{JAR.group}:{JAR.artifact}:{JAR.version} sha256:{JAR.sha256}\n"
    monkeypatch.setattr(kafka, "pinned", lambda _: line)


def test_every_jar_is_pinned_with_a_checksum() -> None:
    """The list that ships names each jar once, by a whole SHA-256 sum, and Kafka's own at the pinned version."""
    jars = [PinnedJar.parse(line) for line in pinned("kafka.txt").splitlines()]

    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) for jar in jars)
    assert len({jar.file_name for jar in jars}) == len(jars)
    assert {jar.version for jar in jars if jar.group == "org.apache.kafka"} == {kafka.KAFKA_VERSION}


@pytest.mark.usefixtures("one_jar")
def test_jars_are_fetched_once(machine: BareMachine) -> None:
    """The second look-up finds the cache and needs no Maven."""
    machine.command("java", JAVA_17)
    maven = machine.command("mvn", MAVEN)

    first = find_kafka(machine.environment(KALLBACK_TEST_DOWNLOADS="1"), machine.progress)
    maven.unlink()

    assert find_kafka(machine.environment(), machine.progress) == first
    assert (first.libraries / "kafka_2.13-4.4.0.jar").read_bytes() == CONTENT


@pytest.mark.usefixtures("one_jar")
def test_a_jar_with_another_checksum_is_refused(machine: BareMachine) -> None:
    """What a repository serves in place of the pinned file never gets into the cache."""
    machine.command("java", JAVA_17)
    machine.command("mvn", MAVEN.replace("a jar", "another jar"))

    with pytest.raises(NoServerError, match=r"org\.apache\.kafka:kafka_2\.13:4\.4\.0 has the checksum"):
        find_kafka(machine.environment(KALLBACK_TEST_DOWNLOADS="1"), machine.progress)

    assert not list((machine.folder / "cache").glob("kafka*/"))


def test_a_failing_maven_shows_its_last_lines(machine: BareMachine) -> None:
    """What Maven said is in the error, and no cache entry appears."""
    machine.command("java", JAVA_17)
    machine.command("mvn", "echo '[ERROR] Unknown host'; exit 1")

    with pytest.raises(NoServerError, match="Unknown host"):
        find_kafka(machine.environment(KALLBACK_TEST_DOWNLOADS="1"), machine.progress)

    assert not list((machine.folder / "cache").glob("kafka*/"))


def test_maven_adds_no_jar() -> None:
    """Each dependency excludes all of its own, so the list is what is fetched."""
    project = maven_project([JAR, JAR])

    assert project.count("<artifactId>kafka_2.13</artifactId>") == 2
    assert project.count("<exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion>") == 2


def test_jgo_is_asked_for_files_and_asked_again(tmp_path: Path) -> None:
    """The script uses the configured repositories, and a connection that breaks twice costs nothing."""
    wheels, target = tmp_path / "wheels", tmp_path / "target"
    (wheels / "jgo").mkdir(parents=True)
    target.mkdir()
    (wheels / "jgo" / "__init__.py").touch()
    for module in ("config", "maven"):
        (wheels / "jgo" / f"{module}.py").write_text(JGO)

    done = subprocess.run(
        [sys.executable, "-I", jar_download.__file__, str(wheels), str(target)],
        input="org.apache.kafka:kafka_2.13:4.4.0\n",
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert [(path.name, path.read_bytes()) for path in target.iterdir()] == [(JAR.file_name, CONTENT)]
