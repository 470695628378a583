"""How long the next attempt waits, beside what the policy says."""

from __future__ import annotations

from datetime import timedelta

from kallback.protocol import HEARTBEAT_LOST, NOT_STARTED, TaskType
from kallback.sdk.tasks.delays import pause_after, silence_before


def test_silence_is_a_part_of_the_delay() -> None:
    """Nothing was heard for three intervals, or for the start timeout; a failure that was reported came at once."""
    limits = {"heartbeat_every": timedelta(seconds=2), "start_timeout": timedelta(seconds=5)}
    watched = TaskType("render", str, str, **limits)  # type: ignore[arg-type] # limits only
    assert silence_before(HEARTBEAT_LOST, watched) == timedelta(seconds=6)
    assert silence_before(NOT_STARTED, watched) == timedelta(seconds=5)
    assert silence_before("OutOfStock", watched) == timedelta(0)


def test_hand_backs_of_deployments_wait_for_nothing() -> None:
    """Only a worker that hands back everything is slowed down."""
    assert [pause_after(count).total_seconds() for count in (1, 20, 21, 22, 26, 27, 10_000)] == [0, 0, 2, 4, 64, 64, 64]
