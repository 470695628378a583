"""What a fetched record means."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from kallback.kafka import Record
from kallback.protocol import Attempt, Cancel, CancelReason, TaskHeaders, TaskId, TaskType
from kallback.workers.attempts.dead_letter_reason import DeadLetterReason
from kallback.workers.attempts.decide import (
    AttachToRunning,
    AttemptKey,
    DeadLetterTask,
    DropFinished,
    Reject,
    ReportLost,
    Rules,
    Run,
    SkipCancelled,
    SkipExpired,
    Verdict,
    decide,
)
from kallback.workers.attempts.reply_policy import ReplyPolicy
from kallback.workers.attempts.table import AttemptTable
from kallback.workers.registration.functions import inspect_function

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv

NOW_MS = 1_700_000_000_000
KEY = AttemptKey(TaskId("t1"), Attempt(1))
ANYTHING = inspect_function(TaskType("anything", request=dict, result=dict), lambda request: request)


class KnownTasks:
    """A worker's rules for `prepare`, and what it knows of attempts and cancels."""

    def __init__(self, env: WorkerEnv) -> None:
        self.rules = Rules({"prepare": inspect_function(env.prepare, lambda order: order)})
        self.table = AttemptTable(finished_kept=2)
        self.cancel: Cancel | None = None

    def decide(self, record: Record) -> Verdict:
        """Decide on a record now."""
        return decide(record, self.rules, NOW_MS, self.table.state_of, lambda *_: self.cancel)


@pytest.fixture
def known(env: WorkerEnv) -> KnownTasks:
    """Nothing is known yet."""
    return KnownTasks(env)


def test_an_attempt_of_a_dead_process_is_lost_if_its_caller_sends_another_one(
    env: WorkerEnv, known: KnownTasks
) -> None:
    """Begun anew, it would lose the progress that its heartbeats told."""
    record = env.record(env.headers(retry_lost=True, progress_to=env.topics.progress))
    assert isinstance(known.decide(record), Run)
    verdict = known.decide(structs.replace(record, deliveries=2))
    assert isinstance(verdict, ReportLost)
    assert (verdict.problem.type, verdict.problem.retryable) == ("urn:kallback:heartbeat-lost", True)


def test_an_attempt_of_a_dead_process_begins_anew_if_its_progress_could_not_be_told(
    env: WorkerEnv, known: KnownTasks
) -> None:
    """Its topic is missing: nothing is lost by it, and every rebalance would cost an attempt."""
    known.rules = dataclasses.replace(known.rules, is_missing=lambda topic: topic == env.topics.progress)
    headers = env.headers(retry_lost=True, progress_to=env.topics.progress)
    assert isinstance(known.decide(structs.replace(env.record(headers), deliveries=2)), Run)


def test_an_attempt_of_a_dead_process_begins_anew_if_its_caller_sends_no_other_one(
    env: WorkerEnv, known: KnownTasks
) -> None:
    """Only this record continues the task."""
    assert isinstance(known.decide(structs.replace(env.record(), deliveries=2)), Run)


@pytest.mark.parametrize(("key", "verdict"), [(b"table-4", Run), (b"t1", ReportLost), (None, ReportLost)])
def test_an_attempt_of_a_dead_process_keeps_its_place_in_the_order_of_its_key(
    env: WorkerEnv, known: KnownTasks, key: bytes | None, verdict: type[Verdict]
) -> None:
    """The next attempt would come behind later tasks of the key; without a caller's key there is no order to keep."""
    known.rules = Rules({"prepare": dataclasses.replace(known.rules.functions["prepare"], ordered=True)})
    record = structs.replace(
        env.record(env.headers(retry_lost=True, progress_to=env.topics.progress)), deliveries=2, key=key
    )
    assert isinstance(known.decide(record), verdict)


def test_a_new_task_runs_with_its_request_decoded(env: WorkerEnv, known: KnownTasks) -> None:
    """A task that is new, known and readable runs with its typed request."""
    verdict = known.decide(env.record())

    assert isinstance(verdict, Run)
    assert verdict.request == env.order_type("soup")


def test_a_duplicate_of_a_running_attempt_attaches(env: WorkerEnv, known: KnownTasks) -> None:
    """While an attempt runs, its duplicates wait for it."""
    known.table.admit(KEY, env.record())

    assert known.decide(env.record()) == AttachToRunning(KEY)


def test_a_duplicate_of_a_finished_attempt_is_dropped(env: WorkerEnv, known: KnownTasks) -> None:
    """Once the outcome is durable, duplicates are dropped."""
    known.table.admit(KEY, env.record())
    known.table.finish(KEY)

    assert known.decide(env.record()) == DropFinished(KEY)


def test_an_abandoned_attempt_may_run_again(env: WorkerEnv, known: KnownTasks) -> None:
    """An attempt that ended without a durable outcome is not finished."""
    known.table.admit(KEY, env.record())
    known.table.abandon(KEY)

    assert isinstance(known.decide(env.record()), Run)


def test_finishing_returns_the_record_and_its_duplicates(env: WorkerEnv, known: KnownTasks) -> None:
    """All duplicates are settled with the run."""
    first, copy = env.record(), env.record()
    known.table.admit(KEY, first)
    known.table.attach(KEY, copy)

    assert known.table.finish(KEY) == [first, copy]


def test_a_next_attempt_is_a_task_of_its_own(env: WorkerEnv, known: KnownTasks) -> None:
    """Another attempt of a running task is no duplicate."""
    known.table.admit(KEY, env.record())

    assert isinstance(known.decide(env.record(env.headers(attempt=2))), Run)


def test_a_dead_lettered_record_is_dropped_and_runs_when_it_is_sent_again(env: WorkerEnv, known: KnownTasks) -> None:
    """Its duplicate at the same offset is settled; the mended dead letter comes at another one and is done."""
    known.table.admit(KEY, env.record())
    known.table.dead_letter(KEY)

    assert known.decide(env.record()) == DropFinished(KEY)
    assert isinstance(known.decide(structs.replace(env.record(), offset=1)), Run)


def test_the_oldest_finished_attempts_are_forgotten(env: WorkerEnv, known: KnownTasks) -> None:
    """The memory of finished attempts is bounded."""
    for number in range(1, 4):
        key = AttemptKey(TaskId("t1"), Attempt(number))
        known.table.admit(key, env.record())
        known.table.finish(key)

    assert isinstance(known.decide(env.record()), Run)
    assert isinstance(known.decide(env.record(env.headers(attempt=2))), DropFinished)


def test_a_cancelled_task_is_skipped(env: WorkerEnv, known: KnownTasks) -> None:
    """Nobody waits for a cancelled task."""
    cancel = Cancel(TaskId("t1"), CancelReason.CANCELLED, NOW_MS)
    known.cancel = cancel

    assert known.decide(env.record()) == SkipCancelled(KEY, cancel)


@pytest.mark.parametrize(("deadline_ms", "skipped"), [(NOW_MS - 1, True), (NOW_MS, False), (None, False)])
def test_a_task_is_skipped_after_its_deadline_only(
    env: WorkerEnv, known: KnownTasks, *, deadline_ms: int | None, skipped: bool
) -> None:
    """At its deadline a task still runs, a millisecond later it does not; without one it always does."""
    verdict = known.decide(env.record(env.headers(deadline_ms=deadline_ms)))

    assert isinstance(verdict, SkipExpired if skipped else Run)


def test_a_record_without_our_headers_is_dead(known: KnownTasks) -> None:
    """Nobody can be told about a record that names no token."""
    verdict = known.decide(Record("orders", 0, 0, 0, None, b"{}", ()))

    assert isinstance(verdict, DeadLetterTask)
    assert verdict.reason is DeadLetterReason.NOT_A_TASK


def test_an_unknown_task_type_is_dead_with_a_remedy(env: WorkerEnv, known: KnownTasks) -> None:
    """The dead letter names the unknown type, the known ones, and what to do."""
    verdict = known.decide(env.record(env.headers(task_type="wash")))

    assert isinstance(verdict, DeadLetterTask)
    assert verdict.reason is DeadLetterReason.UNKNOWN_TASK_TYPE
    assert "'wash'" in verdict.detail
    assert "prepare" in verdict.detail
    assert "@worker.task" in verdict.detail


@pytest.mark.parametrize("value", [b"{", b'{"dish": 7}', b"\xff", b"[" * 100_000, None])
def test_an_unreadable_request_is_refused(env: WorkerEnv, known: KnownTasks, value: bytes | None) -> None:
    """A task of ours whose request does not fit fails with 422 and a remedy."""
    verdict = known.decide(env.record(value=value))

    assert isinstance(verdict, Reject)
    assert (verdict.problem.type, verdict.problem.status) == ("urn:kallback:undecodable-task", 422)
    assert "same request type" in verdict.problem.detail


@pytest.mark.parametrize(("reply_to", "dead"), [("elsewhere", True), ("kallback.results", False)])
def test_the_allow_list_holds_reply_topics(env: WorkerEnv, known: KnownTasks, *, reply_to: str, dead: bool) -> None:
    """With an allow-list, a task that wants its result elsewhere is dead."""
    policy = ReplyPolicy(allowed=frozenset({"kallback.results"}))
    known.rules = dataclasses.replace(known.rules, replies=policy)

    assert isinstance(known.decide(env.record(env.headers(reply_to=reply_to))), DeadLetterTask if dead else Run)


@pytest.mark.parametrize("reply_to", ["a b", "", "..", "x" * 250, "é"])
def test_a_reply_topic_that_cannot_exist_is_dead(env: WorkerEnv, known: KnownTasks, reply_to: str) -> None:
    """Work whose result can go nowhere is not begun."""
    assert isinstance(known.decide(env.record(env.headers(reply_to=reply_to))), DeadLetterTask)


_names = st.sampled_from([name for name, _ in TaskHeaders("t", TaskId("i"), Attempt(1), "anything", "r", 1).encode()])


@given(
    value=st.none() | st.binary() | st.recursive(st.just("1"), lambda inner: inner.map("[{}]".format)).map(str.encode),
    good=st.booleans(),
    extra=st.lists(st.tuples(_names | st.text(), st.none() | st.binary() | st.just(b"1"))),
)
def test_judging_never_raises(*, value: bytes | None, good: bool, extra: list[Any]) -> None:
    """No bytes whatever stop the loop."""
    base = TaskHeaders("t", TaskId("i"), Attempt(1), "anything", "results").encode() if good else ()
    decide(Record("orders", 0, 0, 0, None, value, (*base, *extra)), Rules({"anything": ANYTHING}), NOW_MS)
