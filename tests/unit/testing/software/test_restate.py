"""Finding restate-server: given, on PATH, or from npm with its checksum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kallback.protocol.errors import UnsupportedServerError
from kallback.testing.errors import NoServerError
from kallback.testing.software.restate import check_version, find_restate, npm_project, platform_package

if TYPE_CHECKING:
    from tests.unit.testing.software.conftest import BareMachine


def test_restate_server_on_path_is_taken(machine: BareMachine) -> None:
    """A restate-server on PATH saves the download."""
    path = machine.command("restate-server", "echo 'restate-server 1.7.0'")

    assert find_restate(machine.environment(), machine.progress) == path


def test_nothing_is_downloaded_where_that_is_switched_off(machine: BareMachine) -> None:
    """KALLBACK_TEST_DOWNLOADS=0 is named in the error."""
    with pytest.raises(NoServerError, match=r"Restate is not downloaded, because KALLBACK_TEST_DOWNLOADS=0"):
        find_restate(machine.environment(), machine.progress)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("echo 'npm error ENOTFOUND' >&2; exit 1", "ENOTFOUND"),
        ("exit 0", r"npm installed no restate-server .*KALLBACK_RESTATE_SERVER"),
    ],
)
def test_a_failing_npm_is_reported(machine: BareMachine, body: str, sentence: str) -> None:
    """What npm said is in the error, also if it said that all is well and brought nothing."""
    machine.command("node", "exit 0")
    machine.command("npm", body)

    with pytest.raises(NoServerError, match=sentence):
        find_restate(machine.environment(KALLBACK_TEST_DOWNLOADS="1"), machine.progress)

    assert not list((machine.folder / "cache").glob("restate*/"))


@pytest.mark.parametrize(
    ("system", "machine", "package"),
    [
        ("Linux", "x86_64", "@restatedev/restate-server-linux-x64"),
        ("Linux", "aarch64", "@restatedev/restate-server-linux-arm64"),
        ("Darwin", "arm64", "@restatedev/restate-server-darwin-arm64"),
    ],
)
def test_the_package_follows_the_machine(system: str, machine: str, package: str) -> None:
    """One package per kind of machine, each with its checksum in the lock file that npm gets."""
    assert platform_package(system, machine) == package
    locked = npm_project(package)["package-lock.json"]["packages"][f"node_modules/{package}"]
    assert locked["integrity"].startswith("sha512-")


def test_a_machine_without_a_binary_is_told() -> None:
    """Npm has binaries for four kinds of machines."""
    with pytest.raises(NoServerError, match=r"no restate-server for linux on riscv64: set KALLBACK_RESTATE_SERVER"):
        platform_package("Linux", "riscv64")


def test_an_old_restate_is_refused(machine: BareMachine) -> None:
    """Restate before 1.7.0 could lose an accepted completion."""
    path = machine.command("restate-server", "echo 'restate-server 1.6.9'")

    with pytest.raises(UnsupportedServerError, match=r"is restate-server 1\.6\.9, kallback needs 1\.7\.0 or later"):
        check_version(path)


def test_something_else_is_no_restate(machine: BareMachine) -> None:
    """A path that is missing or is another program is refused with the variable's name."""
    path = machine.command("restate-server", "echo hello")

    for wrong in (path, machine.folder / "missing"):
        with pytest.raises(NoServerError, match="KALLBACK_RESTATE_SERVER"):
            check_version(wrong)
