"""Error replies of NestJS and Spring are failures with their words, never completed values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.protocol import Completed, Failed, UnusableResultError, read_result
from kallback.protocol.problems import UNEXPECTED_ERROR

TOKEN = ("kallback-token", b"kb1:x")


def detail_of(header: tuple[str, bytes | None], value: bytes | None) -> str:
    """The detail of the failure."""
    answer = read_result(value, (TOKEN, header)).answer()
    assert isinstance(answer, Failed)
    assert answer.problem().type == UNEXPECTED_ERROR
    return answer.problem().detail


@pytest.mark.parametrize(
    ("header", "value", "detail"),
    [
        (("kafka_nest-err", b"no basil"), None, "no basil"),
        (("kafka_nest-err", b'"no basil"'), None, "no basil"),
        (("kafka_nest-err", b'{"message": "no basil", "status": "error"}'), None, "no basil"),
        (("kafka_nest-err", b'{"message": 7}'), None, '{"message": 7}'),
        (("kafka_nest-err", b"{broken"), None, "{broken"),
        (("kafka_nest-err", b""), None, "the worker reported an error without saying why"),
        (("kafka_nest-err", b"\xff"), None, "\ufffd"),
        (("serverSentAnError", b"true"), b'"FAILED"', "FAILED"),
        (("serverSentAnError", None), b"FAILED", "FAILED"),
        (("serverSentAnError", b"timeout"), b"at the shelf", "timeout: at the shelf"),
        (("serverSentAnError", b"x" * 9000), None, "x" * 4096),
    ],
)
def test_the_detail_is_what_the_framework_says(
    header: tuple[str, bytes | None], value: bytes | None, detail: str
) -> None:
    """Text, JSON text, the message of an object; a bare flag says nothing."""
    assert detail_of(header, value) == detail


def test_a_status_of_the_worker_wins() -> None:
    """It knows kallback, and says what it means."""
    headers = (TOKEN, ("kafka_nest-err", b"stale"), ("kallback-status", b"completed"))
    assert read_result(b"7", headers).answer() == Completed(b"7")


@pytest.mark.parametrize("value", [None, b'"FAILED"', b"FAILED"])
def test_an_error_header_beside_a_failed_status_says_why(value: bytes | None) -> None:
    """The status is that of the worker, the words are in the header."""
    headers = (TOKEN, ("serverSentAnError", b"no basil"), ("kallback-status", b"failed"))
    answer = read_result(value, headers).answer()
    assert isinstance(answer, Failed)
    assert answer.problem().detail.startswith("no basil")


@given(st.none() | st.binary(), st.none() | st.binary())
def test_no_error_reply_is_a_completed_value(header: bytes | None, value: bytes | None) -> None:
    """Whatever its bytes are: failed, or unusable, which the caller is told as well."""
    try:
        answer = read_result(value, (TOKEN, ("kafka_nest-err", header))).answer()
    except UnusableResultError:
        return
    assert isinstance(answer, Failed)
