"""The machine in memory answers the SDK as Restate's does."""

from __future__ import annotations

import re

import pytest
from restate.vm import (
    DO_PROGRESS_ANY_COMPLETED,
    DO_PROGRESS_CANCEL_SIGNAL_RECEIVED,
    DO_PROGRESS_WAIT_EXTERNAL_PROGRESS,
    NOT_READY,
    AllCompletedUnresolvedFuture,
    DoProgressExecuteRun,
    FirstCompletedUnresolvedFuture,
    SingleUnresolvedFuture,
)

from kallback.testing.in_memory.clock import VirtualTime
from kallback.testing.in_memory.monitor import SimulatedMonitor
from kallback.testing.in_memory.promises import SimulatedPromises
from kallback.testing.in_memory.restate import InMemoryRestate, Resources


@pytest.fixture
def time() -> VirtualTime:
    """At its start."""
    return VirtualTime()


@pytest.fixture
def machine(time: VirtualTime) -> InMemoryRestate:
    """Of one invocation."""
    monitor = SimulatedMonitor("TaskMonitor", lambda: 0, lambda _awakeable_id, _envelope: None)
    return InMemoryRestate(Resources(time, monitor, {}, {}, [], SimulatedPromises(), []), 1)


def test_the_first_completion_counts(machine: InMemoryRestate) -> None:
    """Before it is taken and after."""
    _, handle = machine.sys_awakeable()
    machine.complete(handle, b"1")
    machine.complete(handle, b"2")
    assert machine.take_notification(handle) == b"1"
    machine.complete(handle, b"3")

    assert (machine.is_completed(handle), machine.take_notification(handle)) == (False, NOT_READY)


def test_first_and_all_are_told_apart(machine: InMemoryRestate) -> None:
    """One of two is enough for the first, not for all."""
    (_, one), (_, two) = machine.sys_awakeable(), machine.sys_awakeable()
    both = [SingleUnresolvedFuture(one), SingleUnresolvedFuture(two)]
    machine.complete(one, b"")

    assert machine.do_progress(FirstCompletedUnresolvedFuture(list(both))) is DO_PROGRESS_ANY_COMPLETED
    assert machine.do_progress(AllCompletedUnresolvedFuture(list(both))) is DO_PROGRESS_WAIT_EXTERNAL_PROGRESS


def test_a_cancellation_is_heard_once_and_before_all_else(machine: InMemoryRestate) -> None:
    """What is awaited next works again."""
    _, handle = machine.sys_awakeable()
    machine.complete(handle, b"")
    machine.cancel()

    heard = [machine.do_progress(SingleUnresolvedFuture(handle)) for _ in range(2)]

    assert heard == [DO_PROGRESS_CANCEL_SIGNAL_RECEIVED, DO_PROGRESS_ANY_COMPLETED]


def test_a_step_is_begun_once_and_when_it_is_awaited(machine: InMemoryRestate) -> None:
    """Not because something else is waited for."""
    step, other = machine.sys_run("step").handle, machine.sys_run("other").handle

    first, second = (machine.do_progress(SingleUnresolvedFuture(step)) for _ in range(2))

    assert isinstance(first, DoProgressExecuteRun)
    assert (first.handle, second, machine.running) == (step, DO_PROGRESS_WAIT_EXTERNAL_PROGRESS, 1)
    assert not machine.is_completed(other)


def test_timers_are_due_in_their_order(machine: InMemoryRestate, time: VirtualTime) -> None:
    """Time jumps from one to the next."""
    late, soon = machine.sys_sleep(60_000), machine.sys_sleep(1_000)

    assert (time.jump(), machine.is_completed(soon), machine.is_completed(late)) == (True, True, False)
    assert (time.jump(), machine.is_completed(late), time.jump()) == (True, True, False)


def test_awakeable_ids_look_like_restates(machine: InMemoryRestate) -> None:
    """And no two are alike, in this test or the next."""
    names = {machine.sys_awakeable()[0] for _ in range(20)}

    assert len(names) == 20
    assert all(re.fullmatch(r"sign_1[A-Za-z0-9_-]{38}", name) for name in names)
