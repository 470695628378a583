"""Whether another attempt follows, and how long it waits. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from kallback.protocol import HEARTBEAT_LOST, NOT_STARTED, Attempt, RetryAfter, TaskType
from kallback.sdk.errors import InvalidResult, TaskFailed

_HAND_BACKS_AT_ONCE: Final = 20
"""As many as there are deployments during a task of a day or two."""
_LONGEST_PAUSE_EXPONENT: Final = 6  # 64 s


def retry_after(error: TaskFailed, task_type: TaskType[Any, Any], counted: Attempt) -> RetryAfter | None:
    """When the next attempt follows a failure; None if none does.

    Args:
        error: of the current attempt.
        task_type: its type.
        counted: its number among those that count.
    """
    policy = task_type.retry
    if policy is None or isinstance(error, InvalidResult):  # another attempt would return the same
        return None
    verdict = policy.after(counted, error.problem)
    return verdict if isinstance(verdict, RetryAfter) else None


def silence_before(failure: str, task_type: TaskType[Any, Any]) -> timedelta:
    """How long nothing was heard of an attempt before it failed so: that counts as a part of the policy's delay."""
    silences = {HEARTBEAT_LOST: task_type.heartbeat_limit, NOT_STARTED: task_type.start_timeout}
    return silences.get(failure) or timedelta(0)


def pause_after(hand_backs: int) -> timedelta:
    """The delay after so many hand-backs of one task: none for those of deployments.

    Then it grows, because hand-backs do not count as attempts, and a worker may hand back everything that it gets.
    """
    excess = min(hand_backs - _HAND_BACKS_AT_ONCE, _LONGEST_PAUSE_EXPONENT)
    return timedelta(seconds=2**excess) if excess > 0 else timedelta(0)
