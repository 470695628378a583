"""What a fetched record means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.kafka import Record
from kallback.protocol import Attempt, Cancel, CancelReason, TaskHeaders, TaskId, TaskType
from kallback.workers.attempts.decide import (
    AttachToRunning,
    AttemptKey,
    AttemptTable,
    DeadLetterReason,
    DeadLetterTask,
    DropFinished,
    Reject,
    Run,
    SkipCancelled,
    SkipExpired,
)
from kallback.workers.registration.functions import inspect_function

if TYPE_CHECKING:
    from tests.unit.workers.conftest import WorkerEnv

NOW_MS = 1_700_000_000_000
KEY = AttemptKey(TaskId("t1"), Attempt(1))
ANYTHING = inspect_function(TaskType("anything", request=dict, result=dict), lambda request: request)


@pytest.fixture
def attempts(env: WorkerEnv) -> AttemptTable:
    """A attempts that knows `prepare` and no cancels."""
    function = inspect_function(env.prepare, lambda order: order)
    return AttemptTable({"prepare": function}, lambda *_: None, finished_kept=2)


def test_a_new_task_runs_with_its_request_decoded(env: WorkerEnv, attempts: AttemptTable) -> None:
    """A task that is new, known and readable runs with its typed request."""
    verdict = attempts.decide(env.record(), NOW_MS)

    assert isinstance(verdict, Run)
    assert verdict.request == env.order_type("soup")


def test_a_copy_of_a_running_attempt_attaches(env: WorkerEnv, attempts: AttemptTable) -> None:
    """While an attempt runs, its copies wait for it."""
    attempts.begin(KEY, env.record())

    assert attempts.decide(env.record(), NOW_MS) == AttachToRunning(KEY)


def test_a_copy_of_a_finished_attempt_is_dropped(env: WorkerEnv, attempts: AttemptTable) -> None:
    """Once the outcome is durable, copies are dropped."""
    attempts.begin(KEY, env.record())
    attempts.finish(KEY)

    assert attempts.decide(env.record(), NOW_MS) == DropFinished(KEY)


def test_an_abandoned_attempt_may_run_again(env: WorkerEnv, attempts: AttemptTable) -> None:
    """An attempt that ended without a durable outcome is not finished."""
    attempts.begin(KEY, env.record())
    attempts.abandon(KEY)

    assert isinstance(attempts.decide(env.record(), NOW_MS), Run)


def test_finishing_returns_the_record_and_its_copies(env: WorkerEnv, attempts: AttemptTable) -> None:
    """All copies are settled with the run."""
    first, copy = env.record(), env.record()
    attempts.begin(KEY, first)
    attempts.attach(KEY, copy)

    assert attempts.finish(KEY) == [first, copy]


def test_a_next_attempt_is_a_task_of_its_own(env: WorkerEnv, attempts: AttemptTable) -> None:
    """Another attempt of a running task is no copy."""
    attempts.begin(KEY, env.record())

    assert isinstance(attempts.decide(env.record(env.headers(attempt=2)), NOW_MS), Run)


def test_the_oldest_finished_attempts_are_forgotten(env: WorkerEnv, attempts: AttemptTable) -> None:
    """The memory of finished attempts is bounded."""
    for number in range(1, 4):
        key = AttemptKey(TaskId("t1"), Attempt(number))
        attempts.begin(key, env.record())
        attempts.finish(key)

    assert isinstance(attempts.decide(env.record(), NOW_MS), Run)
    assert isinstance(attempts.decide(env.record(env.headers(attempt=2)), NOW_MS), DropFinished)


def test_a_cancelled_task_is_skipped(env: WorkerEnv, attempts: AttemptTable) -> None:
    """Nobody waits for a cancelled task."""
    cancel = Cancel(TaskId("t1"), CancelReason.CANCELLED, NOW_MS)
    attempts.find_cancel = lambda *_: cancel

    assert attempts.decide(env.record(), NOW_MS) == SkipCancelled(KEY, cancel)


@pytest.mark.parametrize(("deadline_ms", "skipped"), [(NOW_MS - 1, True), (NOW_MS, False), (None, False)])
def test_a_task_is_skipped_after_its_deadline_only(
    env: WorkerEnv, attempts: AttemptTable, *, deadline_ms: int | None, skipped: bool
) -> None:
    """At its deadline a task still runs, a millisecond later it does not; without one it always does."""
    verdict = attempts.decide(env.record(env.headers(deadline_ms=deadline_ms)), NOW_MS)

    assert isinstance(verdict, SkipExpired if skipped else Run)


def test_a_record_without_our_headers_is_dead(attempts: AttemptTable) -> None:
    """Nobody can be told about a record that names no token."""
    verdict = attempts.decide(Record("orders", 0, 0, 0, None, b"{}", ()), NOW_MS)

    assert isinstance(verdict, DeadLetterTask)
    assert verdict.reason is DeadLetterReason.NOT_A_TASK


def test_an_unknown_task_type_is_dead_with_a_remedy(env: WorkerEnv, attempts: AttemptTable) -> None:
    """The dead letter names the unknown type, the known ones, and what to do."""
    verdict = attempts.decide(env.record(env.headers(task_type="wash")), NOW_MS)

    assert isinstance(verdict, DeadLetterTask)
    assert verdict.reason is DeadLetterReason.UNKNOWN_TASK_TYPE
    assert "'wash'" in verdict.detail
    assert "prepare" in verdict.detail
    assert "@worker.task" in verdict.detail


@pytest.mark.parametrize("value", [b"{", b'{"dish": 7}', b"\xff", b"[" * 100_000, None])
def test_an_unreadable_request_is_refused(env: WorkerEnv, attempts: AttemptTable, value: bytes | None) -> None:
    """A task of ours whose request does not fit fails with 422 and a remedy."""
    verdict = attempts.decide(env.record(value=value), NOW_MS)

    assert isinstance(verdict, Reject)
    assert (verdict.problem.type, verdict.problem.status) == ("urn:kallback:undecodable-task", 422)
    assert "same request type" in verdict.problem.detail


@pytest.mark.parametrize(("reply_to", "dead"), [("elsewhere", True), ("kallback.results", False)])
def test_the_allow_list_holds_reply_topics(
    env: WorkerEnv, attempts: AttemptTable, *, reply_to: str, dead: bool
) -> None:
    """With an allow-list, a task that wants its result elsewhere is dead."""
    attempts.reply_topics = frozenset({"kallback.results"})

    assert isinstance(
        attempts.decide(env.record(env.headers(reply_to=reply_to)), NOW_MS), DeadLetterTask if dead else Run
    )


@pytest.mark.parametrize("reply_to", ["a b", "", "..", "x" * 250, "é"])
def test_a_reply_topic_that_cannot_exist_is_dead(env: WorkerEnv, attempts: AttemptTable, reply_to: str) -> None:
    """Work whose result can go nowhere is not begun."""
    assert isinstance(attempts.decide(env.record(env.headers(reply_to=reply_to)), NOW_MS), DeadLetterTask)


_names = st.sampled_from([name for name, _ in TaskHeaders("t", TaskId("i"), Attempt(1), "anything", "r", 1).encode()])


@given(
    value=st.none() | st.binary() | st.recursive(st.just("1"), lambda inner: inner.map("[{}]".format)).map(str.encode),
    good=st.booleans(),
    extra=st.lists(st.tuples(_names | st.text(), st.none() | st.binary() | st.just(b"1"))),
)
def test_judging_never_raises(*, value: bytes | None, good: bool, extra: list[Any]) -> None:
    """No bytes whatever stop the loop."""
    base = TaskHeaders("t", TaskId("i"), Attempt(1), "anything", "results").encode() if good else ()
    attempts = AttemptTable({"anything": ANYTHING}, lambda *_: None)

    attempts.decide(Record("orders", 0, 0, 0, None, value, (*base, *extra)), NOW_MS)
