"""Finding npm: on PATH, or with a Node.js that is downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kallback.testing.errors import NoServerError
from kallback.testing.software import node
from kallback.testing.software.node import find_npm, python_path

if TYPE_CHECKING:
    from tests.unit.testing.software.conftest import BareMachine


def test_npm_on_path_is_taken(machine: BareMachine) -> None:
    """Nothing is downloaded where Node.js and npm are installed."""
    machine.command("node", "exit 0")
    npm = machine.command("npm", "exit 0")

    assert find_npm(machine.environment(), machine.progress) == [str(npm)]
    assert python_path(machine.environment(), machine.progress) == ""


def test_no_npm_says_what_to_install(machine: BareMachine) -> None:
    """Where nothing may be downloaded, the error names the package and the switch."""
    with pytest.raises(NoServerError, match=r"No npm on PATH; install npm .*apt install npm.*KALLBACK_TEST_DOWNLOADS"):
        find_npm(machine.environment(), machine.progress)


def test_without_npm_a_node_is_downloaded(machine: BareMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Npm's own script runs on the downloaded Node.js, and pyright is told where that is."""
    wheels = machine.folder / "wheels"
    monkeypatch.setattr(node, "cached_wheels", lambda *_: wheels)

    command = find_npm(machine.environment(), machine.progress)

    assert command == [str(wheels / part) for part in (node._NODE, node._NPM)]
    assert python_path(machine.environment(), machine.progress) == str(wheels)
