"""What a handler is told of a running task."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kallback.protocol import Attempt, Signal, TaskId, TaskProgress, progress_headers, read_progress
from kallback.sdk.monitoring.client import progress_of

LATEST_MS = 10**15 - 1
"""The latest time that a progress record can have."""


@given(st.integers(0, LATEST_MS), st.integers(0, LATEST_MS), st.integers(0, LATEST_MS))
def test_no_time_that_a_worker_can_tell_fails_its_handler(started: int, heartbeat: int, details: int) -> None:
    """Restate would retry the handler again and again, for one record; a time beyond the year 9999 is in that year."""
    for each in (started, heartbeat, details):
        record = read_progress(None, progress_headers("kb1:token", Signal.HEARTBEAT, each))
        assert record.report().at_ms == each
    told = progress_of(
        TaskProgress(TaskId("t" * 16), "t", Attempt(1), 0, started, heartbeat, msgspec.Raw(b"1"), details)
    )
    for time, ms in ((told.started, started), (told.heartbeat, heartbeat)):
        assert time is not None
        assert time.year == 9999 or abs(time.timestamp() * 1000 - ms) < 1
