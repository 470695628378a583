"""What is said of a password that is sent unencrypted."""

from __future__ import annotations

import inspect
import logging

import pytest
from aiokafka import conn

from kallback.kafka.aiokafka.login import _ClearPassword  # pyright: ignore[reportPrivateUsage]

LINE = "Sending username and password in the clear"


def line(text: str) -> logging.LogRecord:
    """A line of aiokafka."""
    return logging.LogRecord("aiokafka.conn", logging.WARNING, "conn.py", 279, text, (), None)


def test_the_line_of_aiokafka_is_replaced_by_one_with_the_remedy(caplog: pytest.LogCaptureFixture) -> None:
    """Once in a process: aiokafka says it at each connection. Its other lines are written."""
    clear = _ClearPassword()
    assert [clear.filter(line(text)) for text in (LINE, LINE, "Closing connection")] == [False, False, True]
    [said] = caplog.messages
    assert "KALLBACK_KAFKA_SECURITY_PROTOCOL=SASL_SSL" in said
    assert "KALLBACK_KAFKA_SASL_MECHANISM to a SCRAM one" in said


def test_aiokafka_says_it_in_these_words() -> None:
    """Another version may have others, and the line would be written again."""
    assert f'"{LINE}"' in inspect.getsource(conn)
