"""Waiting says what it waited for."""

from __future__ import annotations

import pytest

from kallback.testing import eventually


async def test_it_returns_the_first_true_answer() -> None:
    """Plain and async probes are polled until they answer."""
    answers = iter([None, 0, "here"])

    async def probe() -> str | int | None:
        return next(answers)

    assert await eventually("an answer", probe, interval=0) == "here"


async def test_it_names_what_never_came() -> None:
    """The failure says what was waited for and what was seen last."""
    with pytest.raises(AssertionError, match=r"waited 0 s for the result; the last answer was \[\]"):
        await eventually("the result", list, timeout=0)
