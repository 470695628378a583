"""What of a task is drawn once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kallback.protocol import TaskId, TaskType
from kallback.sdk import UNSET, TaskNotSent
from kallback.sdk.journal.identity import (
    TaskIdentities,
    TaskIdentity,
    attempt_times_at,
    limits_attempts,
    timeout_of,
    trace_context,
)

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HOUR = timedelta(hours=1)


def test_the_task_types_timeout_is_the_default() -> None:
    """`UNSET` takes what the task type says."""
    assert timeout_of("prepare", HOUR, UNSET) == HOUR


@pytest.mark.parametrize("given", [None, timedelta(seconds=1)])
def test_the_callers_timeout_wins(given: timedelta | None) -> None:
    """None, once written, means for ever."""
    assert timeout_of("prepare", HOUR, given) == given


@pytest.mark.parametrize("given", [timedelta(0), timedelta(seconds=-1)])
def test_a_timeout_must_be_longer_than_nothing(given: timedelta) -> None:
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


def kind(**limits: timedelta) -> TaskType[str, str]:
    """A task type with these limits."""
    return TaskType("prepare", str, str, **limits)  # type: ignore[arg-type] # limits only, no codec


def test_an_attempt_ends_with_its_task_at_the_latest() -> None:
    """The earlier of the two deadlines."""
    limited = kind(attempt_timeout=timedelta(seconds=10))
    assert attempt_times_at(1_000, limited, 60_000).deadline_ms == 11_000
    assert attempt_times_at(1_000, limited, 5_000).deadline_ms == 5_000
    assert attempt_times_at(1_000, limited, None).deadline_ms == 11_000
    assert attempt_times_at(1_000, kind(), None).deadline_ms is None


def test_an_attempt_must_start_in_time() -> None:
    """So long after its own dispatch."""
    assert attempt_times_at(1_000, kind(start_timeout=timedelta(seconds=3)), None).start_by_ms == 4_000


@pytest.mark.parametrize("limit", ["attempt_timeout", "start_timeout", "heartbeat_every"])
def test_only_limits_need_a_time_of_dispatch(limit: str) -> None:
    """A plain type pays nothing."""
    assert limits_attempts(kind(**{limit: timedelta(seconds=1)}))
    assert not limits_attempts(kind())


def test_many_mints_share_all_but_the_id() -> None:
    """One deadline, one trace."""
    many = TaskIdentities([TaskId("A" * 16), TaskId("B" * 16)], TaskIdentity(TaskId("A" * 16), 5, TRACE))
    assert many.each() == [TaskIdentity(TaskId("A" * 16), 5, TRACE), TaskIdentity(TaskId("B" * 16), 5, TRACE)]


def test_many_tasks_have_consecutive_turns() -> None:
    """They spread evenly; identities that an earlier version journaled have no turn, and keep having none."""
    ids = [TaskId("A" * 16), TaskId("B" * 16), TaskId("C" * 16)]
    assert [it.turn for it in TaskIdentities(ids, TaskIdentity(ids[0], turn=7)).each()] == [7, 8, 9]
    assert [it.turn for it in TaskIdentities(ids, TaskIdentity(ids[0])).each()] == [None, None, None]
