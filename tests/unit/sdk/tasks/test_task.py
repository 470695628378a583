"""Requests that are checked before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from kallback.protocol import TaskId, TaskType
from kallback.sdk import TaskNotSent
from kallback.sdk.journal.identity import TaskIdentity
from kallback.sdk.tasks.task import encode_request, encode_requests

PREPARE = TaskType("prepare", str, str)


def test_without_a_key_the_task_id_is_the_records_key() -> None:
    """Tasks spread over all workers."""
    identity = TaskIdentity(TaskId("A" * 16))
    assert encode_request(PREPARE, "soup", None).spec(identity, None, None).key == b"A" * 16
    assert encode_request(PREPARE, "soup", "t7").spec(identity, None, None).key == b"t7"


def test_there_is_a_key_for_each_request() -> None:
    """Or for none of them."""
    assert [it.key for it in encode_requests(PREPARE, ["a", "b"], ["x", None])] == [b"x", None]
    assert [it.key for it in encode_requests(PREPARE, ["a", "b"], None)] == [None, None]
    with pytest.raises(TaskNotSent, match="2 requests, but 1 keys"):
        encode_requests(PREPARE, ["a", "b"], ["x"])


def test_one_bad_request_sends_none() -> None:
    """It is found before the first is sent."""
    requests: list[Any] = ["a", object()]
    with pytest.raises(TaskNotSent, match="was not sent"):
        encode_requests(PREPARE, requests, None)


def test_a_key_that_no_text_can_be_is_refused() -> None:
    """Lone surrogates have no UTF-8."""
    with pytest.raises(TaskNotSent, match="surrogates"):
        encode_request(PREPARE, "a", "\ud800")
