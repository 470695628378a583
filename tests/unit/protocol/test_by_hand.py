"""Who answered a task by hand, and why."""

from __future__ import annotations

import pytest

from kallback.protocol import Completed, Failed, Problem, completed_headers, failed_headers
from kallback.protocol.by_hand import Deed, Operator, deed_in, deed_of, read_operator
from kallback.protocol.headers import Headers
from kallback.protocol.long_tasks.hand_backs import hand_back
from kallback.protocol.problems import CANCELLED_BY_HAND

ALICE = Operator("alice", "the oven is broken")


def test_it_travels_in_two_headers() -> None:
    """Beside those of a result."""
    assert ALICE.encode() == (("kallback-by", b"alice"), ("kallback-why", b"the oven is broken"))
    assert read_operator(iter(ALICE.encode())) == ALICE


def test_a_reason_is_not_required() -> None:
    """Then there is one header."""
    assert Operator("alice").encode() == (("kallback-by", b"alice"),)
    assert read_operator(Operator("alice").encode()) == Operator("alice")


def test_a_worker_sends_none() -> None:
    """Nearly all results."""
    assert read_operator((("kallback-token", b"x"),)) is None


@pytest.mark.parametrize(
    "headers",
    [
        (("kallback-by", b""),),
        (("kallback-by", b"\xff"),),
        (("kallback-by", b"\x1b[2J"),),
        (("kallback-by", b"a" * 257),),
        (("kallback-by", b"a"), ("kallback-by", b"b")),
        (("kallback-by", b"a"), ("kallback-why", b"x" * 1025)),
        (("kallback-by", b"a"), ("kallback-why", b"x"), ("kallback-why", b"y")),
        (("kallback-why", b"x"),),
    ],
)
def test_what_cannot_be_shown_counts_as_absent(headers: tuple[tuple[str, bytes], ...]) -> None:
    """The header comes from Kafka; the result itself counts nevertheless."""
    assert read_operator(headers) is None


@pytest.mark.parametrize(("by", "why"), [("", ""), (" ", ""), ("a\n", ""), ("a", "x\ty"), ("é" * 129, "")])
def test_what_would_not_be_copied_is_refused_at_once(by: str, why: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match=r"one printable line|say who"):
        Operator(by, why)


@pytest.mark.parametrize(
    ("value", "headers", "deed"),
    [
        (b'{"minutes": 12}', completed_headers("kb1:x"), Deed.COMPLETED),
        (b"", completed_headers("kb1:x"), Deed.COMPLETED),
        (Problem("OutOfStock").encode(), failed_headers("kb1:x"), Deed.FAILED),
        (b"", failed_headers("kb1:x"), Deed.FAILED),
        (Problem(CANCELLED_BY_HAND).encode(), failed_headers("kb1:x"), Deed.CANCELLED),
        (hand_back(b"", "").encode(), failed_headers("kb1:x"), Deed.RETRIED),
        (b"no json", completed_headers("kb1:x"), None),
        (b"{}", (), None),
    ],
)
def test_what_was_done_is_read_from_the_result(value: bytes, headers: Headers, deed: Deed | None) -> None:
    """Not from a header: it cannot say another thing than what the handler gets."""
    assert deed_of(value, headers) == deed


@pytest.mark.parametrize(
    ("answer", "deed"),
    [
        (Completed(b"urn:kallback:"), Deed.COMPLETED),
        (Failed(Problem("OutOfStock", detail="urn:kallback:handed-back").encode()), Deed.FAILED),
        (Failed(hand_back(b"", "").encode()), Deed.HANDED_BACK),
        (Failed(b'{"type":"urn:kallback:handed-back","x":' + b"[" * 200_000), Deed.FAILED),
    ],
)
def test_what_a_worker_answers(answer: Completed | Failed, deed: Deed) -> None:
    """A worker that stops hands its attempt back, which only people call a retry."""
    assert deed_in(answer) is deed


@pytest.mark.parametrize(
    ("operator", "sentence"), [(ALICE, "failed by alice: the oven is broken"), (Operator("bob"), "failed by bob")]
)
def test_a_problem_says_who_and_why(operator: Operator, sentence: str) -> None:
    """As its detail."""
    assert operator.sentence("failed") == sentence
