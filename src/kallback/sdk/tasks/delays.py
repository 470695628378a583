"""How long the next attempt waits, beside what the retry policy says. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from kallback.protocol import HEARTBEAT_LOST, NOT_STARTED, TaskType

_HAND_BACKS_AT_ONCE: Final = 20
"""As many as there are deployments during a task of a day or two."""
_LONGEST_PAUSE_EXPONENT: Final = 6  # 64 s


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
