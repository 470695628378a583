import tracemalloc

import pytest

from kallback.protocol import (
    Completed,
    DecodeError,
    Failed,
    Problem,
    ResultRecord,
    Status,
    Unusable,
    UnusableResultError,
    Unverified,
    UnverifiedError,
    completed_headers,
    failed_headers,
    read_result,
)
from kallback.protocol.frameworks.structured_results import read_structured

OWN = ("kallback-token", b"kb1:own")
SPRING = ("kafka_correlationId", b"kb1:spring")
STRUCTURED = b'{"kallback":{"version":1,"token":"kb1:structured"},"data":[1]}'


def test_the_own_header_is_read_first() -> None:
    """With a token in its own header, nothing else is looked at."""
    assert read_result(STRUCTURED, [SPRING, OWN]).token == "kb1:own"


def test_the_correlation_id_is_read_second() -> None:
    """A Spring service echoes the token as correlation id."""
    assert read_result(STRUCTURED, [SPRING]).token == "kb1:spring"


def test_the_value_is_read_last() -> None:
    """Structured mode is for producers that cannot set headers."""
    record = read_result(STRUCTURED, [("kafka_correlationId", b"7f3a")])
    assert (record.token, record.body) == ("kb1:structured", b"[1]")


def test_a_bare_awakeable_id_counts_as_a_token_here() -> None:
    """Whether it is allowed is the bridge's decision, not the reader's."""
    assert read_result(b"1", [("kafka_correlationId", b"sign_1abc")]).token == "sign_1abc"


@pytest.mark.parametrize("name", ["kallback-token", "kafka_correlationId"])
def test_contradicting_tokens_prove_nothing(name: str) -> None:
    """Different tokens under one name: the record is unverified."""
    with pytest.raises(UnverifiedError) as caught:
        read_result(b"1", [(name, b"kb1:a"), (name, b"kb1:b")])
    assert caught.value.reason == Unverified.AMBIGUOUS_TOKEN


def test_contradicting_statuses_can_be_told_to_the_caller() -> None:
    """The token is proven, so the record is unusable, not unverified."""
    record = read_result(b"1", [OWN, ("kallback-status", b"failed"), ("kallback-status", b"completed")])
    with pytest.raises(UnusableResultError) as caught:
        record.answer()
    assert caught.value.reason == Unusable.AMBIGUOUS_STATUS


@pytest.mark.parametrize("nothing", [None, b"", b"null"])
def test_nothing_is_null(nothing: bytes | None) -> None:
    """A tombstone, an empty value and JSON null are the same result."""
    assert read_result(nothing, [OWN]).answer() == Completed(b"null")


@pytest.mark.parametrize("nothing", [None, b"", b" null "])
def test_a_failure_without_a_word_gets_a_problem(nothing: bytes | None) -> None:
    """The handler sees a problem object in any case."""
    answer = read_result(nothing, [OWN, ("kallback-status", b"failed")]).answer()
    assert isinstance(answer, Failed)
    assert answer.problem() == Problem(detail="the worker reported a failure without saying why")


def test_the_answer_keeps_the_workers_bytes() -> None:
    """Nothing is encoded again on the way."""
    body = b' {"price" : 1.10, "n": 123456789012345678901234567890} '
    assert read_result(body, [OWN]).answer() == Completed(body)


def test_structured_mode_takes_a_failure_from_error_before_data() -> None:
    """With both, the member that is named for it wins."""
    value = b'{"kallback":{"token":"kb1:x","status":"failed","error":{"status":422}},"data":{"status":400}}'
    answer = read_result(value, []).answer()
    assert isinstance(answer, Failed)
    assert answer.problem().status == 422


def test_an_error_that_no_bridge_sealed_is_a_decode_error() -> None:
    """Only `answer` proves that the error is an object."""
    with pytest.raises(DecodeError):
        Failed(b"[]").problem()


EXPECTED: dict[str, set[str | None]] = {
    "status": {Unusable.UNKNOWN_STATUS, Unverified.NO_TOKEN},
    "version": {Unusable.UNKNOWN_VERSION, Unverified.NO_TOKEN},
    "error": {None, Unverified.NO_TOKEN},
    "x": {None, Unverified.NO_TOKEN},
}


@pytest.mark.parametrize("depth", [100, 900, 990, 1000, 1010, 1030, 10_000])
@pytest.mark.parametrize("member", EXPECTED)
def test_deep_members_of_structured_mode_end_in_a_verdict(member: str, depth: int) -> None:
    """However deep a member is nested, the record gets an outcome."""
    deep = "[" * depth + "]" * depth
    value = f'{{"kallback":{{"token":"kb1:x","{member}":{deep}}},"data":1}}'.encode()
    reason: str | None = None
    try:
        read_result(value, []).answer()
    except (UnverifiedError, UnusableResultError) as error:
        reason = error.reason
    assert reason in EXPECTED[member]


@pytest.mark.parametrize(("depth", "has_token"), [(997, True), (998, False), (100_000, False)])
def test_a_value_is_looked_into_for_its_token_down_to_one_thousand_levels(depth: int, *, has_token: bool) -> None:
    """On each version of Python, and however deep the caller is; parsers have limits of their own."""
    value = f'{{"kallback":{{"token":"kb1:x","x":[{"[" * depth + "]" * depth}]}},"data":1}}'.encode()
    assert (read_structured(value) is not None) is has_token


@pytest.mark.parametrize(
    ("headers", "status"),
    [(completed_headers("kb1:x"), Status.COMPLETED), (failed_headers("kb1:x"), Status.FAILED)],
)
def test_the_headers_of_the_kit_are_read_back(headers: tuple[tuple[str, bytes], ...], status: Status) -> None:
    """What the kit writes is what the bridge reads."""
    assert read_result(b"{}", headers) == ResultRecord("kb1:x", (status.encode(),), b"{}")
    assert ("content-type", b"application/json") in headers


@pytest.mark.parametrize("member", ["version", "status"])
def test_a_large_member_of_structured_mode_is_not_built(member: str) -> None:
    """Nobody has proven anything yet: a megabyte of empty lists took 20 MiB as objects of Python."""
    value = b'{"kallback":{"token":"kb1:x","%s":[%s[]]}}' % (member.encode(), b"[]," * 300_000)
    tracemalloc.start()
    try:
        record = read_result(value, [])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * len(value)
    with pytest.raises(UnusableResultError):
        record.answer()
