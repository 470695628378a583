"""`kallback version`: what is installed."""

from __future__ import annotations

import json
import platform

import pytest
from click.testing import CliRunner

import kallback
from kallback.cli.commands import version as command


def test_it_shows_one_package_per_line() -> None:
    """For a bug report."""
    lines = dict(line.split() for line in CliRunner().invoke(command.version).stdout.splitlines())
    assert (lines["kallback"], lines["python"]) == (kallback.__version__, platform.python_version())


def test_a_package_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """In words for people, null for scripts."""
    monkeypatch.setattr(command, "_PACKAGES", ("no-such-package",))
    assert "no-such-package  not installed" in CliRunner().invoke(command.version).stdout
    assert json.loads(CliRunner().invoke(command.version, ["--json"]).stdout)["no-such-package"] is None
