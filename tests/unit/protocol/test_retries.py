import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kallback.protocol import (
    ATTEMPT_TIMED_OUT,
    EXCEPTION,
    HEARTBEAT_LOST,
    NOT_STARTED,
    UNDECODABLE_TASK,
    UNEXPECTED_ERROR,
    UNUSABLE_RESULT,
    Attempt,
    ConfigurationError,
    GiveUp,
    Problem,
    Retry,
    RetryAfter,
    RetryPolicy,
)

SECOND = timedelta(seconds=1)
ODD = Problem(UNEXPECTED_ERROR, 500, extensions={EXCEPTION: ["UnicodeDecodeError", "UnicodeError", "ValueError"]})

policies = st.tuples(
    st.none() | st.integers(1, 10**6),
    st.timedeltas(timedelta(0), timedelta(days=2)),
    st.floats(1, allow_infinity=False, allow_nan=False),
    st.timedeltas(timedelta(0)),
).map(lambda p: RetryPolicy(attempts=p[0], first_delay=p[1], factor=p[2], longest_delay=max(p[1], p[3])))
attempts = (st.integers(1, 20) | st.integers(1, 10**6 - 1)).map(Attempt)


def after(problem: Problem, **settings: Any) -> Retry:
    """What follows the first attempt."""
    return RetryPolicy(**settings).after(Attempt(1), problem)


def reason(retry: Retry) -> str:
    """Why there is no other attempt."""
    assert isinstance(retry, GiveUp)
    return retry.reason


def delay(retry: Retry) -> timedelta:
    """How long after it the next attempt follows."""
    assert isinstance(retry, RetryAfter)
    return retry.delay


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
        ({"first_delay": 10 * SECOND, "factor": 1}, [10, 10, 10]),
        ({"factor": 1.5}, [1, 1.5, 2.25, 3.375]),
        ({"first_delay": timedelta(0)}, [0, 0, 0]),
        ({"longest_delay": SECOND}, [1, 1, 1]),
    ],
)
def test_each_delay_is_so_many_times_the_one_before(settings: dict[str, Any], seconds: list[float]) -> None:
    """Up to the longest one."""
    policy = RetryPolicy(attempts=None, **settings)
    found = [delay(policy.after(Attempt(n), Problem())).total_seconds() for n in range(1, len(seconds) + 1)]
    assert found == seconds


@given(policies, attempts)
def test_no_delay_is_above_the_longest_nor_below_the_first(policy: RetryPolicy, attempt: Attempt) -> None:
    """Whatever the numbers, unless the failure asks for more."""
    assume(policy.attempts is None or attempt < policy.attempts)
    assert policy.first_delay <= delay(policy.after(attempt, Problem())) <= policy.longest_delay


@given(policies, st.integers(1, 2_000))
def test_delays_never_shrink(policy: RetryPolicy, attempt: int) -> None:
    """The next one is as long, or longer."""
    assume(policy.attempts is None or attempt + 1 < policy.attempts)
    [earlier, later] = [delay(policy.after(Attempt(n), Problem())) for n in (attempt, attempt + 1)]
    assert earlier <= later


@pytest.mark.parametrize("factor", [2.1, 10.0, 1e300])
def test_many_attempts_overflow_nothing(factor: float) -> None:
    """A power that no float holds is the longest delay, or none if the first one is none."""
    endless: dict[str, Any] = {"attempts": None, "factor": factor}
    late = Attempt(999_999)
    assert delay(RetryPolicy(**endless, longest_delay=timedelta.max).after(late, Problem())) == timedelta.max
    assert delay(RetryPolicy(**endless, first_delay=timedelta(0)).after(late, Problem())) == timedelta(0)


@given(policies, attempts, st.floats(0, allow_nan=False, allow_infinity=False))
def test_what_the_failure_asks_for_counts_if_it_is_longer(policy: RetryPolicy, attempt: Attempt, asked: float) -> None:
    """Also above the longest delay, up to a year."""
    assume(policy.attempts is None or attempt < policy.attempts)
    own = delay(policy.after(attempt, Problem()))
    asked_for = timedelta(seconds=min(asked, timedelta(days=365).total_seconds()))
    assert delay(policy.after(attempt, Problem(retry_after=asked))) == max(own, asked_for)


@pytest.mark.parametrize("asked", [0.0, -5.0, None])
def test_a_failure_cannot_ask_for_less(asked: float | None) -> None:
    """The policy's own delay is the least."""
    assert delay(after(Problem(retry_after=asked))) == SECOND


@given(st.integers(1, 999_999), st.integers(1, 999_999))
def test_there_are_as_many_attempts_as_the_policy_says(limit: int, attempt: int) -> None:
    """The first one is counted; the last one's failure is the task's."""
    found = RetryPolicy(attempts=limit).after(Attempt(attempt), Problem())
    assert isinstance(found, RetryAfter) is (attempt < limit)


def test_the_last_attempt_says_that_it_was() -> None:
    """People read how many there were."""
    assert reason(RetryPolicy(attempts=2).after(Attempt(2), Problem())) == "it was attempt 2 of 2"


@given(attempts)
def test_without_a_limit_there_is_always_another_attempt(attempt: Attempt) -> None:
    """Only the task's time-out ends it."""
    assert isinstance(RetryPolicy(attempts=None).after(attempt, Problem()), RetryAfter)


@pytest.mark.parametrize("status", [500, 502, 503, 599])
def test_a_server_error_is_tried_again(status: int) -> None:
    """A failure that does not say whether it is retryable is judged by its status."""
    assert isinstance(after(Problem(status=status)), RetryAfter)


@pytest.mark.parametrize(
    "problem", [Problem(status=408), Problem(status=425), Problem(status=429), Problem(status=400, retry_after=0)]
)
def test_what_asks_to_come_back_is_tried_again(problem: Problem) -> None:
    """Some 4xx are about the moment, as in HTTP; and whoever says when, says that."""
    assert isinstance(after(problem), RetryAfter)


@pytest.mark.parametrize("status", [400, 404, 409, 422, 499])
def test_the_fault_of_the_request_stays(status: int) -> None:
    """The same request would fail again."""
    assert reason(after(Problem(status=status))) == f"status {status} is the request's fault"


@pytest.mark.parametrize("status", [400, 422, 500, 599])
def test_a_failure_that_says_whether_it_is_retryable_is_believed(status: int) -> None:
    """The member wins over the status."""
    assert isinstance(after(Problem(status=status, retryable=True)), RetryAfter)
    assert "not retryable" in reason(after(Problem(status=status, retryable=False)))


@pytest.mark.parametrize("kind", [ATTEMPT_TIMED_OUT, NOT_STARTED, HEARTBEAT_LOST, UNEXPECTED_ERROR])
def test_what_may_have_been_the_workers_fault_is_tried_again(kind: str) -> None:
    """Another worker may do better."""
    assert isinstance(after(Problem(kind)), RetryAfter)


@pytest.mark.parametrize("kind", [UNUSABLE_RESULT, UNDECODABLE_TASK])
def test_a_broken_contract_stays_broken(kind: str) -> None:
    """Not even a member `retryable` makes another attempt of it."""
    assert kind in reason(after(Problem(kind, 500, retryable=True)))


@pytest.mark.parametrize("name", [UNEXPECTED_ERROR, "UnicodeDecodeError", "UnicodeError", "ValueError"])
def test_never_names_types_exceptions_and_their_bases(name: str) -> None:
    """A subclass of what is named is meant, too."""
    assert reason(after(ODD, never={name})) == f"{name} is never tried again"


@pytest.mark.parametrize("name", ["KeyError", "Value", "valueerror", "", "urn:kallback"])
def test_never_names_whole_names(name: str) -> None:
    """Nothing is guessed from a part."""
    assert isinstance(after(ODD, never={name}), RetryAfter)


def test_never_wins_over_the_worker() -> None:
    """The caller decides, the worker advises."""
    assert "OutOfStock" in reason(after(Problem("OutOfStock", retryable=True), never=["OutOfStock"]))


@pytest.mark.parametrize("classes", [None, "ValueError", 7, {}, {"ValueError": 1}, [7, None, ["ValueError"], {}]])
def test_an_exception_member_of_another_shape_names_nothing(classes: object) -> None:
    """A worker in any language may send anything."""
    hostile = Problem(extensions={EXCEPTION: classes})
    assert isinstance(after(hostile, never={"ValueError"}), RetryAfter)


def test_names_among_other_values_count() -> None:
    """What can be read is read."""
    assert isinstance(after(Problem(extensions={EXCEPTION: [7, "ValueError"]}), never={"ValueError"}), GiveUp)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"attempts": 0}, "at least 1"),
        ({"attempts": -1}, "at least 1"),
        ({"first_delay": -SECOND}, "must not be negative"),
        ({"first_delay": 2 * SECOND, "longest_delay": SECOND}, "not below first_delay"),
        ({"factor": 0.99}, "factor must be at least 1"),
        ({"factor": math.nan}, "factor must be at least 1"),
        ({"factor": math.inf}, "factor must be at least 1"),
        ({"factor": 10**400}, "factor is larger than any float"),
        ({"factor": True}, "factor must be a number"),
        ({"never": "ValueError"}, "write {'ValueError'}"),
        ({"never": {ValueError}}, "not classes: write 'ValueError'"),
        ({"never": [7]}, "7 is none"),
        ({"never": None}, "never is a set of names"),
        ({"first_delay": 2}, r"first_delay must be a timedelta: write timedelta\(seconds=2\)"),
        ({"longest_delay": "1 h"}, "longest_delay must be a timedelta"),
        ({"attempts": "3"}, "attempts must be an int"),
        ({"attempts": 2.5}, "attempts must be an int"),
        ({"factor": "2"}, "factor must be a number"),
    ],
)
def test_values_that_cannot_work_are_refused(settings: dict[str, Any], sentence: str) -> None:
    """At declaration, with a sentence that says what to write."""
    with pytest.raises(ConfigurationError, match=sentence):
        RetryPolicy(**settings)


def test_policies_are_values() -> None:
    """Whatever collection names the failures, equal policies are equal and have the same hash."""
    assert RetryPolicy(never=["a", "b"]) == RetryPolicy(never={"b", "a"})
    assert len({RetryPolicy(never=["a"]), RetryPolicy(never=("a", "a"))}) == 1
