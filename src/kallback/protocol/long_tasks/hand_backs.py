"""Attempts that a worker hands back because it stops: a failed result that is no failure. Pure.

Its problem has the type `urn:kallback:handed-back`, and members with the last details and the worker's partitions. It
goes the way of a result, so that it is authenticated and durable, needs no monitoring, and passes bridges of earlier
versions. A worker sends it only to a caller that asks for it (header `kallback-hand-back`): to any other it would be a
failed attempt. The details are a text in the object, not a part of it, so that they travel byte for byte.
"""

from __future__ import annotations

from typing import Final

from kallback.protocol.errors import InvalidProgressError
from kallback.protocol.long_tasks.partitions import partitions_of
from kallback.protocol.long_tasks.progress import checked_details
from kallback.protocol.problems import HANDED_BACK, PARTITIONS, Problem

LAST_DETAILS: Final = "last_details"
"""Extension of the problem of a handed back attempt: what the next attempt continues with, JSON as a text."""

_UNAVAILABLE: Final = 503
_DETAIL: Final = "the worker stops and hands the attempt back"


def hand_back(last_details: bytes, partitions: str) -> Problem:
    """The problem by which a worker hands an attempt back.

    Args:
        last_details: of the attempt, or of the one before it: JSON, empty for none.
        partitions: which ones of the task's topic the worker reads, as text; empty if unknown.
    """
    told = {LAST_DETAILS: last_details.decode(), PARTITIONS: partitions}
    extensions = {name: text for name, text in told.items() if text}
    return Problem(HANDED_BACK, _UNAVAILABLE, _DETAIL, retryable=True, extensions=extensions)


def details_of(problem: Problem) -> bytes:
    """The details that a handed back attempt leaves to the next one; empty for none, or for what is none."""
    text = problem.extensions.get(LAST_DETAILS)
    try:
        return checked_details(text.encode()) if isinstance(text, str) else b""
    except (InvalidProgressError, UnicodeEncodeError):
        return b""


def silent_partitions(problem: Problem) -> frozenset[int]:
    """The partitions that the worker of a lost or handed back attempt read: nothing reads them for a while."""
    return partitions_of(problem.extensions.get(PARTITIONS))
