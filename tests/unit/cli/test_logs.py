"""Log lines for people and for machines."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator

import pytest

from kallback.cli.logs import configure_logs
from kallback.settings import named_log


@pytest.fixture(autouse=True)
def _logging_as_before() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


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
    logging.getLogger("kallback.test").warning("Restate is away")
    line = capsys.readouterr().err
    assert "Restate is away" in line
    assert not line.startswith("{")


def test_the_fields_of_our_own_lines_are_members_of_the_object(capsys: pytest.CaptureFixture[str]) -> None:
    """`named_log` writes sentence and fields; both arrive apart."""
    configure_logs()
    named_log("kallback.kafka").warning("commit failed", code="_TRANSPORT")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["code"], line["logger"]) == ("commit failed", "_TRANSPORT", "kallback.kafka")
