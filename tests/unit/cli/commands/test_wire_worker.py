"""The file with the output of a worker that `kallback wire check` starts."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

from kallback.cli.commands.wire_worker import checked_worker
from kallback.protocol import ConfigurationError


@pytest.fixture(autouse=True)
def _files_of_this_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def logs(folder: Path) -> list[Path]:
    """The files that are there."""
    return list(folder.glob("kallback-wire-check-*.log"))


def test_the_output_of_a_worker_that_passes_is_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named while the check runs, and nothing stays behind."""
    with checked_worker("worker"):
        (log,) = logs(tmp_path)
        log.write_text("ready\n")
        assert str(log) in capsys.readouterr().err
    assert logs(tmp_path) == []


def test_the_output_of_a_worker_that_fails_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the last line says where it is."""
    with pytest.raises(SystemExit), checked_worker("worker"):
        fail_with_output(tmp_path)
    (log,) = logs(tmp_path)
    assert capsys.readouterr().err.endswith(f"What the worker wrote is in {log}\n")


def fail_with_output(folder: Path) -> None:
    """Write as a worker does, and exit as the command does if a check fails."""
    logs(folder)[0].write_text("Traceback\n")
    sys.exit(1)


@pytest.mark.parametrize("command", ["worker", "'not closed"])
def test_a_run_that_never_began_leaves_nothing(tmp_path: Path, command: str) -> None:
    """A command that is none, or a setting that is wrong."""
    with pytest.raises(ConfigurationError), checked_worker(command):
        raise ConfigurationError("a topic is missing")
    assert logs(tmp_path) == []


def test_a_worker_that_runs_elsewhere_has_no_output_here(tmp_path: Path) -> None:
    """There is no file and no process."""
    with checked_worker(None) as process:
        assert (process, logs(tmp_path)) == (None, [])
