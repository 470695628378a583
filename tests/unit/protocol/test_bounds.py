"""Bounds on what anyone may write: refused before it is looked at, in time that grows with its size only."""

import msgspec
import pytest

from kallback.protocol import (
    Cancel,
    InvalidControlError,
    InvalidTaskError,
    TaskHeaders,
    UnverifiedError,
    read_progress,
    read_result,
)
from kallback.protocol.headers import MAX_HEADER_BYTES, MAX_HEADERS, Headers

MANY = tuple(("kallback-token", b"%d" % number) for number in range(MAX_HEADERS + 1))
LARGE = (("kallback-token", b"x" * MAX_HEADER_BYTES),)


@pytest.mark.parametrize("headers", [MANY, LARGE])
def test_excessive_headers_of_a_result_are_refused(headers: Headers) -> None:
    """A result with too many headers is dead-lettered under a reason of its own."""
    with pytest.raises(UnverifiedError, match="headers") as refused:
        read_result(b"1", headers)
    assert refused.value.reason == "too-many-headers"


@pytest.mark.parametrize("headers", [MANY, LARGE])
def test_excessive_headers_of_a_progress_record_are_refused(headers: Headers) -> None:
    """A progress record has the same bounds."""
    with pytest.raises(UnverifiedError, match="headers") as refused:
        read_progress(b"1", headers)
    assert refused.value.reason == "too-many-headers"


@pytest.mark.parametrize("headers", [MANY, LARGE])
def test_excessive_headers_of_a_task_are_refused(headers: Headers) -> None:
    """A task record has the same bounds."""
    with pytest.raises(InvalidTaskError, match="headers"):
        TaskHeaders.decode(headers)


def test_as_many_headers_as_allowed_are_read() -> None:
    """The bounds are far above what tracing and frameworks add."""
    others = tuple((f"other-{number}", b"x" * 100) for number in range(MAX_HEADERS - 1))
    assert read_result(b"1", (*others, ("kallback-token", b"kb1:t"))).token == "kb1:t"


class Counting(bytes):
    """A header's value that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        """Count."""
        Counting.compared += 1
        return bytes.__eq__(self, other) is True

    __hash__ = bytes.__hash__


def test_each_header_is_compared_a_bounded_number_of_times() -> None:
    """Different values of one header cost linear time: a second one says all that is to be said."""
    Counting.compared = 0
    headers = tuple(("kallback-token", Counting(b"%d" % number)) for number in range(MAX_HEADERS))
    with pytest.raises(UnverifiedError, match="different tokens"):
        read_result(b"1", headers)
    assert Counting.compared <= 2 * MAX_HEADERS


@pytest.mark.parametrize("size", [17, 100_000])
def test_a_task_id_that_is_too_long_is_refused(size: int) -> None:
    """Workers remember task ids: one of a megabyte, written by anyone, is not kept."""
    cancel = msgspec.json.encode(
        {"kallback": 1, "action": "cancel", "task": "x" * size, "reason": "cancelled", "at": 1}
    )
    with pytest.raises(InvalidControlError):
        Cancel.decode(cancel)
    with pytest.raises(InvalidTaskError, match="kallback-task-id"):
        TaskHeaders.decode(
            (
                ("kallback-version", b"1"),
                ("kallback-token", b"kb1:t"),
                ("kallback-task-id", b"x" * size),
                ("kallback-attempt", b"1"),
                ("kallback-type", b"t"),
                ("kallback-reply-to", b"r"),
            )
        )


def test_a_control_record_that_is_too_large_is_not_parsed() -> None:
    """A cancel has about 120 bytes."""
    with pytest.raises(InvalidControlError, match="bytes"):
        Cancel.decode(b" " * 1025 + b"not JSON")
