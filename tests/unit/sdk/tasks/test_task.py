"""Requests that are checked before anything is sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kallback.protocol import HEARTBEAT_LOST, Attempt, RetryPolicy, TaskId, TaskType
from kallback.sdk import TaskNotSent
from kallback.sdk.journal.identity import TaskIdentity
from kallback.sdk.tasks.task import encode_request, encode_requests, retries_lost

BEAT = timedelta(seconds=1)
PREPARE = TaskType("prepare", str, str)


def test_without_a_key_the_task_id_is_the_records_key() -> None:
    """Tasks spread over all workers."""
    identity = TaskIdentity(TaskId("A" * 16))
    assert encode_request(PREPARE, "soup", None).spec(identity, None, None).key == b"A" * 16
    assert encode_request(PREPARE, "soup", "t7").spec(identity, None, None).key == b"t7"


def test_only_tasks_without_a_key_are_spread() -> None:
    """A caller's key means an order, and its partition."""
    identity = TaskIdentity(TaskId("A" * 16), turn=3)
    assert encode_request(PREPARE, "soup", None).spec(identity, None, None).spread
    assert not encode_request(PREPARE, "soup", "t7").spec(identity, None, None).spread


@pytest.mark.parametrize(
    ("limits", "attempt", "retries"),
    [
        ({"heartbeat_every": BEAT}, 1, False),
        ({"retry": RetryPolicy(attempts=3)}, 1, False),
        ({"heartbeat_every": BEAT, "retry": RetryPolicy(attempts=3)}, 2, True),
        ({"heartbeat_every": BEAT, "retry": RetryPolicy(attempts=3)}, 3, False),
        ({"heartbeat_every": BEAT, "retry": RetryPolicy(never={HEARTBEAT_LOST})}, 1, False),
    ],
)
def test_a_lost_attempt_is_replaced_as_the_policy_says(limits: dict[str, Any], attempt: int, retries: object) -> None:
    """Workers commit its record early only then; without heartbeats nobody would know of the loss."""
    assert retries_lost(TaskType("render", str, str, **limits), Attempt(attempt)) is retries


def test_there_is_a_key_for_each_request() -> None:
    """Or for none of them."""
    assert [it.key for it in encode_requests(PREPARE, ["a", "b"], ["x", None])] == [b"x", None]
    assert [it.key for it in encode_requests(PREPARE, ["a", "b"], None)] == [None, None]
    with pytest.raises(TaskNotSent, match="2 requests, but 1 keys"):
        encode_requests(PREPARE, ["a", "b"], ["x"])


def test_one_bad_request_sends_none() -> None:
    """It is found before the first is sent, and named among thousands."""
    requests: list[Any] = ["a", object()]
    with pytest.raises(TaskNotSent, match=r"requests\[1\] of .* was not sent"):
        encode_requests(PREPARE, requests, None)
    with pytest.raises(TaskNotSent, match=r"keys\[1\] cannot be encoded"):
        encode_requests(PREPARE, ["a", "b"], ["x", "\ud800"])


def test_a_key_that_no_text_can_be_is_refused() -> None:
    """Lone surrogates have no UTF-8."""
    with pytest.raises(TaskNotSent, match="surrogates"):
        encode_request(PREPARE, "a", "\ud800")
