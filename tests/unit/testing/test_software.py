"""Finding Java, Maven, npm and restate-server, played by fake commands; errors name what to install."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kallback.protocol.errors import UnsupportedServerError
from kallback.testing.environment import ServerEnvironment
from kallback.testing.errors import NoServerError
from kallback.testing.servers.kafka_download import find_java, find_kafka
from kallback.testing.servers.restate_download import check_version, find_restate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Put a shell script on a PATH that has nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, body: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return put


@pytest.fixture
def environment(tmp_path: Path) -> ServerEnvironment:
    """An environment that gives nothing but an empty cache."""
    return ServerEnvironment.read({"KALLBACK_CACHE": str(tmp_path / "cache")})


JAVA_17 = """echo 'openjdk version "17.0.9" 2023-10-17' >&2"""


@pytest.mark.usefixtures("fake")
def test_no_java_says_what_to_install(environment: ServerEnvironment) -> None:
    """Without Java the error names the package."""
    with pytest.raises(NoServerError, match=r"no java on PATH; install Java 17 or later .*openjdk-17"):
        find_java(environment)


@pytest.mark.parametrize("line", ['java version "1.8.0_392"', 'openjdk version "11.0.2" 2019-01-15'])
def test_an_old_java_is_named(fake: Callable[[str, str], Path], environment: ServerEnvironment, line: str) -> None:
    """An old Java is refused with its version."""
    fake("java", f"echo '{line}' >&2")

    with pytest.raises(NoServerError, match=r"is Java (1\.8\.0_392|11\.0\.2); install Java 17"):
        find_java(environment)


def test_java_home_wins_over_path(fake: Callable[[str, str], Path], tmp_path: Path) -> None:
    """JAVA_HOME is asked first."""
    fake("java", "echo 'openjdk version \"11.0.2\"' >&2")
    home = tmp_path / "jdk"
    (home / "bin").mkdir(parents=True)
    fake("java21", """echo 'openjdk version "21.0.1"' >&2""").rename(home / "bin" / "java")

    found, version = find_java(ServerEnvironment.read({"JAVA_HOME": str(home)}))

    assert (found, version) == (home / "bin" / "java", "21.0.1")


def test_no_maven_says_what_to_install(fake: Callable[[str, str], Path], environment: ServerEnvironment) -> None:
    """With Java but without Maven the error names Maven."""
    fake("java", JAVA_17)

    with pytest.raises(NoServerError, match=r"no mvn on PATH; install it .*apt install maven"):
        find_kafka(environment)


def test_a_failing_maven_shows_its_last_lines(fake: Callable[[str, str], Path], environment: ServerEnvironment) -> None:
    """What Maven said is in the error, and no cache entry appears."""
    fake("java", JAVA_17)
    fake("mvn", "echo '[ERROR] Unknown host'; exit 1")

    with pytest.raises(NoServerError, match="Unknown host"):
        find_kafka(environment)

    assert not list(environment.cache.glob("*/"))


def test_kafkas_jars_are_fetched_once(fake: Callable[[str, str], Path], environment: ServerEnvironment) -> None:
    """The second look-up finds the cache and needs no Maven."""
    fake("java", JAVA_17)
    maven = fake("mvn", 'for a; do case $a in -DoutputDirectory=*) : > "${a#*=}/kafka_2.13.jar";; esac; done')

    first = find_kafka(environment)
    maven.unlink()

    assert find_kafka(environment) == first
    assert (first.libraries / "kafka_2.13.jar").exists()


@pytest.mark.usefixtures("fake")
def test_no_npm_says_what_to_install(environment: ServerEnvironment) -> None:
    """Without npm and restate-server the error names both ways."""
    with pytest.raises(NoServerError, match=r"no npm on PATH; install it .* or put a restate-server on PATH"):
        find_restate(environment)


def test_a_failing_npm_shows_its_last_lines(fake: Callable[[str, str], Path], environment: ServerEnvironment) -> None:
    """What npm said is in the error."""
    fake("npm", "echo 'npm error ENOTFOUND' >&2; exit 1")

    with pytest.raises(NoServerError, match="ENOTFOUND"):
        find_restate(environment)


def test_a_machine_without_a_binary_is_told(fake: Callable[[str, str], Path], environment: ServerEnvironment) -> None:
    """An npm that succeeds may still bring no binary for this kind of machine."""
    fake("npm", "exit 0")

    with pytest.raises(NoServerError, match=r"no restate-server for this kind of machine.*KALLBACK_RESTATE_SERVER"):
        find_restate(environment)


def test_restate_server_on_path_is_taken(fake: Callable[[str, str], Path], environment: ServerEnvironment) -> None:
    """A restate-server on PATH saves the download."""
    path = fake("restate-server", "echo 'restate-server 1.7.0'")

    assert find_restate(environment) == path


def test_an_old_restate_is_refused(fake: Callable[[str, str], Path]) -> None:
    """Restate before 1.7.0 could lose an accepted completion."""
    path = fake("restate-server", "echo 'restate-server 1.6.9'")

    with pytest.raises(UnsupportedServerError, match=r"is restate-server 1\.6\.9, kallback needs 1\.7\.0 or later"):
        check_version(path)


def test_something_else_is_no_restate(fake: Callable[[str, str], Path], tmp_path: Path) -> None:
    """A path that is missing or is another program is refused with the variable's name."""
    path = fake("restate-server", "echo hello")

    for wrong in (path, tmp_path / "missing"):
        with pytest.raises(NoServerError, match="KALLBACK_RESTATE_SERVER"):
            check_version(wrong)
