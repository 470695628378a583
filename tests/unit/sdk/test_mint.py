"""What of a task is drawn once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kallback.sdk import UNSET, TaskNotSent
from kallback.sdk.mint import timeout_of, trace_context

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HOUR = timedelta(hours=1)


def test_the_task_types_time_out_is_the_default() -> None:
    """`UNSET` takes what the task type says."""
    assert timeout_of("prepare", HOUR, UNSET) == HOUR


@pytest.mark.parametrize("given", [None, timedelta(seconds=1)])
def test_the_callers_time_out_wins(given: timedelta | None) -> None:
    """None, once written, means for ever."""
    assert timeout_of("prepare", HOUR, given) == given


@pytest.mark.parametrize("given", [timedelta(0), timedelta(seconds=-1)])
def test_a_time_out_must_be_longer_than_nothing(given: timedelta) -> None:
    """The sentence says what to give instead."""
    with pytest.raises(TaskNotSent, match="longer than 0, or None"):
        timeout_of("prepare", HOUR, given)


def test_the_first_readable_trace_context_counts() -> None:
    """The attempt's own context goes before the invocation's; its state goes with it."""
    assert trace_context({"traceparent": TRACE, "tracestate": "a=1"}, {"traceparent": "x"}) == (TRACE, "a=1")
    assert trace_context({}, {"traceparent": TRACE}) == (TRACE, None)


@pytest.mark.parametrize("bad", ["", "00", TRACE.upper(), TRACE + "-x", TRACE + "\n"])
def test_an_unreadable_trace_context_is_dropped(bad: str) -> None:
    """Workers get a valid header or none."""
    assert trace_context({"traceparent": bad, "tracestate": "a=1"}) == (None, None)


@pytest.mark.parametrize("bad", ["", "é", "x" * 513])
def test_an_unreadable_trace_state_is_dropped_alone(bad: str) -> None:
    """A bad `tracestate` does not cost the parent."""
    assert trace_context({"traceparent": TRACE, "tracestate": bad}) == (TRACE, None)
