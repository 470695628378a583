"""One verdict per record."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace
from tests.unit.bridge.factories import RecordFactory

from kallback.bridge import (
    AttachDuplicate,
    Deliver,
    Duplicate,
    Late,
    Seen,
    Trust,
    UnusableResult,
    UnverifiedResult,
    Verdict,
    decide,
    verify,
)
from kallback.kafka import OutgoingRecord
from kallback.protocol import Completed, Failed, Keyring, read_conventions

TRUST = Trust(Keyring({"k1": b"1" * 32}), "kallback.results")
GRACE = 30.0


def verdict(make: RecordFactory, record: OutgoingRecord, seen: Seen = Seen.NEW, *, later: float = 0.0) -> Verdict:
    """Decide on a record, so many seconds from now."""
    now_ms = (make.now + later) * 1000
    return decide(make.received(record), TRUST, seen=lambda _: seen, now_ms=now_ms, grace_ms=GRACE * 1000)


def test_a_good_result_is_delivered(make: RecordFactory) -> None:
    """The value goes on byte for byte."""
    token = make.token()

    found = verdict(make, make.completed(make.sign(token), b'{"price": 1.10}'))

    assert isinstance(found, Deliver)
    assert found.completion.target == token
    assert found.completion.answer == Completed(b'{"price": 1.10}')


def test_what_the_screen_has_verified_is_not_verified_again(make: RecordFactory) -> None:
    """The verdict travels with the record: without keys, the token could not be verified here."""
    received = make.received(make.completed())
    screened = replace(received, screened=verify(received.value, received.headers, TRUST))
    keyless = Trust(Keyring({"k1": b"2" * 32}), "kallback.results")

    found = decide(screened, keyless, seen=lambda _: Seen.NEW, now_ms=make.now * 1000, grace_ms=0)

    assert isinstance(found, Deliver)


def test_a_failure_is_delivered(make: RecordFactory) -> None:
    """A failed result is a result."""
    found = verdict(make, make.failed(value=b'{"status":422}'))
    assert isinstance(found, Deliver)
    assert found.completion.answer == Failed(b'{"status":422}')


@pytest.mark.parametrize("value", [None, b""])
def test_nothing_is_null(make: RecordFactory, value: bytes | None) -> None:
    """An empty value is the result null."""
    found = verdict(make, make.completed(value=value))
    assert isinstance(found, Deliver)
    assert found.completion.answer == Completed(b"null")


def test_a_duplicate_of_a_delivered_one_is_a_duplicate(make: RecordFactory) -> None:
    """What was delivered needs nothing more."""
    assert isinstance(verdict(make, make.completed(), Seen.DELIVERED), Duplicate)


def test_a_duplicate_of_one_in_flight_attaches(make: RecordFactory) -> None:
    """A duplicate waits for the one before it."""
    assert isinstance(verdict(make, make.completed(), Seen.IN_FLIGHT), AttachDuplicate)


def test_late_is_after_deadline_and_grace(make: RecordFactory) -> None:
    """Within the grace a result is still posted, after it no more."""
    record = make.completed(make.sign(make.token(deadline=10)))

    assert isinstance(verdict(make, record, later=10 + GRACE), Deliver)
    assert isinstance(verdict(make, record, later=10 + GRACE + 1), Late)


def test_a_moment_too_late_is_not_zero_seconds(make: RecordFactory) -> None:
    """`kallback complete` knows no grace, and said "too late (0 s after the task's deadline)"."""
    record = make.completed(make.sign(make.token(deadline=10)))
    late = decide(
        make.received(record), TRUST, seen=lambda _: Seen.NEW, now_ms=(make.now + 10) * 1000 + 400, grace_ms=0
    )
    assert isinstance(late, Late)
    assert late.detail == "less than 1 s after the task's deadline"


def test_without_deadline_nothing_is_late(make: RecordFactory) -> None:
    """A caller who waits for ever gets results for ever."""
    assert isinstance(verdict(make, make.completed(), later=10**9), Deliver)


def test_a_late_duplicate_of_a_delivered_one_is_a_duplicate(make: RecordFactory) -> None:
    """A duplicate is judged by what became of the first, not by its own time."""
    record = make.completed(make.sign(make.token(deadline=10)))
    assert isinstance(verdict(make, record, Seen.DELIVERED, later=1000), Duplicate)


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"oops", "not-json"), (b"\xff", "not-json"), (b"{" * 2000, "not-json"), (b"NaN", "not-json")],
)
def test_a_value_that_is_no_json_is_unusable(make: RecordFactory, value: bytes, reason: str) -> None:
    """The task is failed in its place, with a problem of our own type."""
    found = verdict(make, make.completed(value=value))

    assert isinstance(found, UnusableResult)
    assert found.reason == reason
    assert isinstance(found.completion.answer, Failed)
    problem = found.completion.answer.problem()
    assert problem.type == "urn:kallback:unusable-result"
    assert problem.retryable is False


def test_a_failure_that_is_no_problem_is_unusable(make: RecordFactory) -> None:
    """A failed result must be a problem object."""
    found = verdict(make, make.failed(value=b'"no basil"'))
    assert isinstance(found, UnusableResult)
    assert found.reason == "not-a-problem"


@pytest.mark.parametrize(("record", "said"), [("completed", '"FAILED: no basil"'), ("failed", '"kb1:')])
def test_a_caller_is_told_what_the_worker_sent(make: RecordFactory, record: str, said: str) -> None:
    """A framework that sends a text without quotes says there what happened; the dead letter has the value itself."""
    token = make.sign()
    made = make.completed(token, b"FAILED: no basil") if record == "completed" else make.failed(token, token.encode())
    found = verdict(make, made)
    assert isinstance(found, UnusableResult)
    assert isinstance(found.completion.answer, Failed)
    told = found.completion.answer.problem().detail
    assert "the worker sent " + said in told
    assert token not in told
    assert "the worker sent" not in found.detail


@pytest.mark.parametrize(
    ("statuses", "reason"), [([b"done"], "unknown-status"), ([b"completed", b"failed"], "ambiguous-status")]
)
def test_a_status_that_says_nothing_is_unusable(make: RecordFactory, statuses: list[bytes], reason: str) -> None:
    """Unknown or contradicting statuses behind a good token."""
    headers = (("kallback-token", make.sign().encode()), *(("kallback-status", status) for status in statuses))
    found = verdict(make, OutgoingRecord("kallback.results", b"1", None, headers))
    assert isinstance(found, UnusableResult)
    assert found.reason == reason


def test_a_late_unusable_one_is_late(make: RecordFactory) -> None:
    """Nobody waits for it, so its value is not looked at."""
    record = make.completed(make.sign(make.token(deadline=1)), b"oops")
    assert isinstance(verdict(make, record, later=100), Late)


def test_without_proof_it_is_unverified(make: RecordFactory) -> None:
    """The reason is the one of verification."""
    found = verdict(make, OutgoingRecord("kallback.results", b"1"))
    assert isinstance(found, UnverifiedResult)
    assert found.reason == "no-token"


def test_a_completion_hides_its_token(make: RecordFactory) -> None:
    """A token in a log line is a key in a log line."""
    text = make.sign()
    found = verdict(make, make.completed(text))
    assert isinstance(found, Deliver)
    assert text not in repr(found)
    assert found.completion.target.awakeable_id not in repr(found)


def test_an_error_header_of_its_task_type_makes_a_failure(make: RecordFactory) -> None:
    """The type is in the token, and only a verified one counts."""
    token = make.token()
    chosen = read_conventions([f"{token.task_type}=spring:x-error", "other=kallback"])
    headers = (("kafka_correlationId", make.sign(token).encode()), ("x-error", b"no basil"))
    record = make.received(OutgoingRecord("kallback.results", b"7", None, headers))

    found = decide(
        record,
        msgspec.structs.replace(TRUST, conventions=chosen),
        seen=lambda _: Seen.NEW,
        now_ms=make.now * 1000,
        grace_ms=GRACE,
    )

    assert isinstance(found, Deliver)
    assert isinstance(found.completion.answer, Failed)
    assert found.completion.answer.problem().detail == "no basil: 7"
