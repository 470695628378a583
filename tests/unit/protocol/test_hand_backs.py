"""Attempts that a worker hands back."""

from __future__ import annotations

import json
from pathlib import Path

from kallback.protocol import Problem
from kallback.protocol.long_tasks.hand_backs import hand_back, silent_partitions
from kallback.protocol.long_tasks.last_details import details_of

VECTORS = Path(__file__).parents[3] / "protocol/vectors/results_good.json"


def test_details_and_partitions_survive_the_wire() -> None:
    """Details byte for byte: 1.10 stays 1.10."""
    problem = Problem.decode(hand_back(b'{"price": 1.10}', "0-2,7").encode())
    assert details_of(problem) == b'{"price": 1.10}'
    assert silent_partitions(problem) == {0, 1, 2, 7}


def test_what_is_unknown_is_left_out() -> None:
    """No details, and partitions that are not known."""
    problem = hand_back(b"", "")
    assert (problem.extensions, details_of(problem), silent_partitions(problem)) == ({}, b"", frozenset())


def test_the_vector_is_what_is_written() -> None:
    """Workers in other languages copy it."""
    (vector,) = [it for it in json.loads(VECTORS.read_text())["vectors"] if "hands back" in it["description"]]
    assert hand_back(b'{"done":70,"price":1.10}', "0-5,8").encode().decode() == vector["body"]["text"]
