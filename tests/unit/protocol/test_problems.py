import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.protocol import DecodeError, EncodeError, Problem

names = st.text(st.characters(codec="utf-8"), min_size=1)
members = st.dictionaries(
    names.filter(lambda n: n not in {"type", "title", "status", "detail", "retryable", "retry_after"}),
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | names | st.lists(names),
)
problems = st.builds(
    Problem,
    type=names,
    status=st.integers(400, 599),
    detail=names | st.just(""),
    title=st.none() | names,
    retryable=st.none() | st.booleans(),
    retry_after=st.none() | st.floats(0, 1e9),
    extensions=members,
)


@given(problems)
def test_a_problem_survives_the_wire(problem: Problem) -> None:
    """What is encoded is what is decoded, further members included."""
    assert Problem.decode(problem.encode()) == problem


@pytest.mark.parametrize("nothing", [b"", b"null", b" null\r\n\t"])
def test_nothing_is_a_failure_without_a_word(nothing: bytes) -> None:
    """A worker that only says `failed` has failed."""
    assert Problem.decode(nothing).detail == "the worker reported a failure without saying why"


@pytest.mark.parametrize("other", [b"[]", b'"text"', b"1", b"{", b"\xff", b"nul", b"\x0bnull"])
def test_anything_but_an_object_is_refused(other: bytes) -> None:
    """A problem is a JSON object."""
    with pytest.raises(DecodeError):
        Problem.decode(other)


@pytest.mark.parametrize(
    ("member", "value"),
    [("type", 1), ("type", ""), ("title", {}), ("status", "422"), ("status", True), ("status", 399), ("status", 600),
     ("status", 422.0), ("detail", None), ("retryable", 1), ("retry_after", "9"), ("retry_after", True),
     ("retry_after", -1), ("retry_after", math.inf), ("retry_after", math.nan), ("retry_after", 10**400)],
)  # fmt: skip
def test_a_member_of_the_wrong_type_counts_as_absent(member: str, value: Any) -> None:
    """RFC 9457, section 3.1: ignore what does not fit, keep the rest."""
    assert Problem.from_members({member: value}) == Problem()


@pytest.mark.parametrize("seconds", [0, 1, 2.5])
def test_retry_after_is_read_as_seconds(seconds: float) -> None:
    """Whole and broken seconds both count."""
    assert Problem.from_members({"retry_after": seconds}).retry_after == seconds


def test_an_extension_never_replaces_a_member() -> None:
    """A member that is set wins over an extension of the same name."""
    assert Problem.decode(Problem(type="A", extensions={"type": "B"}).encode()).type == "A"


def test_long_integers_in_extensions_stay_exact() -> None:
    """Thirty digits are not rounded to a double."""
    assert Problem.decode(b'{"n":123456789012345678901234567890}').extensions["n"] == 123456789012345678901234567890


@pytest.mark.parametrize("value", [math.nan, math.inf, object()])
def test_an_extension_that_json_cannot_carry_is_refused(value: Any) -> None:
    """NaN would arrive as null; the error names the member."""
    with pytest.raises(EncodeError, match=r"at `\$\.oven\.degrees`"):
        Problem(extensions={"oven": {"degrees": value}}).encode()


def test_a_delay_that_is_no_number_counts_as_absent() -> None:
    """As where it is read."""
    assert Problem.decode(Problem(retry_after=math.nan).encode()) == Problem()
