"""`task.log`: fields as keyword arguments, and lines that cannot be written."""

from __future__ import annotations

import logging

import pytest

from kallback.settings import LogLine
from kallback.workers import TaskContext

LABEL = "[docs.render:t-1:1]"


@pytest.fixture(name="task")
def a_task() -> TaskContext:
    """One of a test."""
    return TaskContext("t-1", task_type="docs.render")


@pytest.fixture(autouse=True)
def level(caplog: pytest.LogCaptureFixture) -> None:
    """Lines of all levels count."""
    caplog.set_level(logging.INFO, "kallback.workers")


def test_keyword_arguments_are_fields_of_the_line(task: TaskContext, caplog: pytest.LogCaptureFixture) -> None:
    """As text after the sentence, and apart for a set-up that knows `LogLine`."""
    task.log.info("rendered", pages=3)

    [record] = caplog.records
    assert record.getMessage() == f"{LABEL} rendered pages=3"
    assert isinstance(record.msg, LogLine)
    assert record.msg.fields == {"pages": 3}


def test_placeholders_and_fields_go_together(task: TaskContext, caplog: pytest.LogCaptureFixture) -> None:
    """A per cent sign in a field is no placeholder."""
    task.log.warning("page %d", 7, done="50 %")

    assert caplog.messages == [f"{LABEL} page 7 done='50 %'"]


def test_a_line_with_fields_keeps_what_logging_takes(task: TaskContext, caplog: pytest.LogCaptureFixture) -> None:
    """Its place in the code, `extra` and the exception."""
    task.log.error("failed", exc_info=KeyError("page"), extra={"tenant": "a"}, pages=3)

    [record] = caplog.records
    assert (record.filename, vars(record)["tenant"], record.exc_info is not None) == ("test_task_log.py", "a", True)


def test_a_line_that_cannot_be_written_names_the_code_that_logs_it(
    task: TaskContext, capsys: pytest.CaptureFixture[str]
) -> None:
    """`logging` refuses some names in `extra`: the task goes on, and stderr shows the line."""
    task.log.info("rendered", extra={"message": "taken"})  # noqa: G101 - the mistake

    said = capsys.readouterr().err
    assert "Attempt to overwrite" in said
    assert 'task.log.info("rendered", extra={"message": "taken"})' in said
