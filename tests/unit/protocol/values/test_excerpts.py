"""What is quoted of a worker's value in the error of a caller."""

from __future__ import annotations

import pytest

from kallback.protocol.values.excerpts import excerpt


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (b"FAILED", "FAILED"),
        (b"no\n basil ", "no basil"),
        (b"\xac\xed", "\ufffd\ufffd"),
        ("\x9b[31mred".encode(), "\ufffd[31mred"),
        (b"x" * 5000, "x" * 200 + "..."),
    ],
)
def test_an_excerpt_is_one_short_line_that_a_terminal_shows_harmlessly(value: bytes, line: str) -> None:
    """Whatever the bytes are."""
    assert excerpt(value) == line
