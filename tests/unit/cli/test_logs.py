"""Log lines for people and for machines."""

from __future__ import annotations

import json
import logging

import pytest

from kallback.cli.logs import configure_logs
from kallback.settings import named_log


def test_lines_are_json_when_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Machines read one JSON object a line, with the extra members of the call."""
    configure_logs()
    logging.getLogger("kallback.test").info("result %s", "late", extra={"task": "abc"})
    line = json.loads(capsys.readouterr().err)
    assert line["event"] == "result late"
    assert line["task"] == "abc"
    assert line["level"] == "info"


def test_lines_are_text_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """People read a line, not an object."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    configure_logs()
    logging.getLogger("kallback.test").warning("Restate unavailable")
    line = capsys.readouterr().err
    assert "Restate unavailable" in line
    assert not line.startswith("{")


def test_the_fields_of_our_own_lines_are_members_of_the_object(capsys: pytest.CaptureFixture[str]) -> None:
    """`named_log` writes sentence and fields; both arrive apart."""
    configure_logs()
    named_log("kallback.kafka").warning("commit failed", code="_TRANSPORT")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["code"], line["logger"]) == ("commit failed", "_TRANSPORT", "kallback.kafka")


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_traceback_shows_no_locals(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool
) -> None:
    """One of them may be a password; rich, where it is installed, shows them unless told not to."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal)
    configure_logs()

    def connect(password: str) -> None:
        raise ValueError(f"{len(password)} characters")

    try:
        connect("hunter2" * 2)
    except ValueError:
        logging.getLogger("kallback.test").exception("failed")
    shown = capsys.readouterr().err
    assert ("14 characters" in shown, "hunter2hunter2" in shown) == (True, False)


def test_text_from_outside_cannot_control_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the sentence nor in a field."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    configure_logs()
    logging.getLogger("kallback.test").warning("read \x1b[2J", extra={"header": "a\x1b]0;owned\x07 b"})
    assert "\x1b" not in capsys.readouterr().err
