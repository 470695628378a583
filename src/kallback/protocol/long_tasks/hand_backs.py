"""Attempts that a worker hands back because it stops: a failed result that is no failure. Pure.

Its problem has the type `urn:kallback:handed-back`, the last details, and a member with the worker's partitions. It
goes the way of a result, so that it is authenticated and durable, needs no monitoring, and passes bridges of earlier
versions. A worker sends it only to a caller that asks for it (header `kallback-hand-back`): to any other it would be a
failed attempt.
"""

from __future__ import annotations

from typing import Final

from kallback.protocol.long_tasks.last_details import with_details
from kallback.protocol.long_tasks.partitions import partitions_of
from kallback.protocol.problems import HANDED_BACK, PARTITIONS, Problem

_UNAVAILABLE: Final = 503
_DETAIL: Final = "the worker stops and hands the attempt back"


def hand_back(last_details: bytes, partitions: str) -> Problem:
    """The problem by which a worker hands an attempt back.

    Args:
        last_details: of the attempt, or of the one before it: JSON, empty for none.
        partitions: which ones of the task's topic the worker reads, as text; empty if unknown.
    """
    read = {PARTITIONS: partitions} if partitions else {}
    return with_details(Problem(HANDED_BACK, _UNAVAILABLE, _DETAIL, retryable=True, extensions=read), last_details)


def silent_partitions(problem: Problem) -> frozenset[int]:
    """The partitions that the worker of a lost or handed back attempt read: nothing reads them for a while."""
    return partitions_of(problem.extensions.get(PARTITIONS))
