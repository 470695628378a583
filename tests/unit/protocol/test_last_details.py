"""The last details of an attempt in the problem of its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kallback.protocol import MAX_DETAILS_BYTES, Problem
from kallback.protocol.long_tasks.last_details import details_of, with_details, without_details

VECTORS = Path(__file__).parents[3] / "protocol/vectors/results_good.json"
BUSY = Problem("Busy", 503, extensions={"shelf": 3})


def test_details_survive_the_wire() -> None:
    """Byte for byte: 1.10 stays 1.10."""
    problem = Problem.decode(with_details(BUSY, b'{"price": 1.10}').encode())
    assert (details_of(problem), without_details(problem)) == (b'{"price": 1.10}', BUSY)


@pytest.mark.parametrize(
    ("problem", "details"),
    [
        (BUSY, b""),
        (Problem("OutOfStock", retryable=False), b"1"),
        (Problem("Busy", extensions={"last_details": "2"}), b"1"),
    ],
)
def test_a_problem_stays_as_it_is_where_details_are_of_no_use(problem: Problem, details: bytes) -> None:
    """There are none, no attempt can follow, or the function has given some itself."""
    assert with_details(problem, details) is problem


@pytest.mark.parametrize("text", [7, None, ["x"], "no JSON", "\ud800", "1" * (MAX_DETAILS_BYTES + 1)])
def test_a_member_that_holds_no_details_stays_with_the_user(text: Any) -> None:
    """They are a hint to the next attempt, which can do without."""
    problem = Problem(extensions={"last_details": text})
    assert details_of(problem) == b""
    assert without_details(problem) is problem


def test_the_vector_is_what_is_written() -> None:
    """Workers in other languages copy it."""
    (vector,) = [it for it in json.loads(VECTORS.read_text())["vectors"] if "last details" in it["description"]]
    problem = with_details(Problem("OutOfMemory", 503, "frame 71"), b'{"done":70,"price":1.10}')
    assert problem.encode().decode() == vector["body"]["text"]
