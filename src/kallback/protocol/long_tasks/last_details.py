"""The last details of an attempt in the problem of its end: what the next attempt continues with. Pure.

Heartbeats carry details, too, but another way than results: those that a worker sends right before an attempt fails may
arrive after the next attempt was sent. So a problem after which another attempt may follow carries the newest ones
itself. A worker adds them only if the caller takes them (header `kallback-hand-back`), and the caller takes them out
before a handler sees the problem.

They are a text in the object, not a part of it, so that they travel byte for byte.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kallback.protocol.errors import InvalidProgressError
from kallback.protocol.long_tasks.progress import checked_details
from kallback.protocol.problems import Problem

LAST_DETAILS: Final = "last_details"
"""Extension of a problem: JSON as a text."""


def with_details(problem: Problem, details: bytes) -> Problem:
    """The problem with details, or as it is: if there are none, if it has some, or if no attempt can follow it."""
    if not details or problem.retryable is False or LAST_DETAILS in problem.extensions:
        return problem
    return replace(problem, extensions={LAST_DETAILS: details.decode(), **problem.extensions})


def details_of(problem: Problem) -> bytes:
    """The details that a problem carries; empty for none, or for what is none."""
    text = problem.extensions.get(LAST_DETAILS)
    try:
        return checked_details(text.encode()) if isinstance(text, str) else b""
    except (InvalidProgressError, UnicodeEncodeError):
        return b""


def without_details(problem: Problem) -> Problem:
    """The problem without the details that it carries. A member of this name that is none is the user's own."""
    if not details_of(problem):
        return problem
    others = {name: value for name, value in problem.extensions.items() if name != LAST_DETAILS}
    return replace(problem, extensions=others)
