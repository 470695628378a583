"""Log lines with fields."""

import logging

import pytest

from kallback.settings import LogLine, named_log


def test_plain_logging_shows_the_fields(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever uses nothing but the standard library loses no detail."""
    named_log("kallback.test").warning("commit failed", detail="no broker")
    assert caplog.messages == ["commit failed detail='no broker'"]


def test_a_set_up_that_knows_the_line_gets_fields_apart(caplog: pytest.LogCaptureFixture) -> None:
    """Structured logs need the sentence and the fields as they were given."""
    named_log("kallback.test").error("gone", code=3)
    line = caplog.records[0].msg
    assert isinstance(line, LogLine)
    assert (line.event, line.fields) == ("gone", {"code": 3})


def test_an_exception_of_a_line_is_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """Under `exc_info`, as with `logging`: the place where it was raised is what a report of a defect needs."""
    try:
        int("no number")
    except ValueError as error:
        named_log("kallback.test").error("a request failed", kind="defect", exc_info=error)
    assert caplog.messages == ["a request failed kind='defect'"]
    assert 'int("no number")' in caplog.text


def test_the_line_names_the_place_that_wrote_it(caplog: pytest.LogCaptureFixture) -> None:
    """The file and line of a record are the caller's, not those of the log itself."""
    named_log("kallback.test").warning("here")
    assert caplog.records[0].filename == "test_logs.py"


def test_a_level_that_is_off_costs_no_text(caplog: pytest.LogCaptureFixture) -> None:
    """A debug line in a hot path is dropped before anything is made of it."""
    with caplog.at_level(logging.WARNING, "kallback.test"):
        named_log("kallback.test").debug("quiet")
        named_log("kallback.test").info("quiet")
    assert caplog.messages == []


def test_a_filter_that_raises_costs_the_line_only(capsys: pytest.CaptureFixture[str]) -> None:
    """Filters are the user's code: what writes a line goes on, and stderr says what was lost."""

    def refuse(_record: logging.LogRecord) -> bool:
        raise KeyError("tenant")

    logger = logging.getLogger("kallback.test")
    logger.addFilter(refuse)
    try:
        named_log("kallback.test").warning("commit failed")
    finally:
        logger.removeFilter(refuse)
    said = capsys.readouterr().err
    assert "a log line was lost" in said
    assert 'named_log("kallback.test").warning("commit failed")' in said  # which code logged it
