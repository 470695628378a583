"""Header blocks without a dynamic table, read and written; the hpack library is the judge."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.bridge.restate.http2.frames import ViolationError
from kallback.bridge.restate.http2.header_blocks import HEADERS_SIZE, AnswerHead, AnswerHeads, RequestHeads

TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=400)
NAMES = st.sampled_from(["accept", "authorization", "content-type", "user-agent", "idempotency-key", "x-other"])


def encoded(*headers: tuple[str, str]) -> bytes:
    """As a server writes a block without a table."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return encoder.encode(list(headers))


@given(
    TEXT,
    st.lists(st.tuples(NAMES, TEXT), max_size=6),
    st.none() | st.integers(0, 10**8),
    TEXT,
    st.sampled_from(["http", "https"]),
)
def test_what_is_written_is_read_by_others(
    path: str, headers: list[tuple[str, str]], size: int | None, authority: str, scheme: str
) -> None:
    """Pseudo headers first, then the others in their order."""
    block = RequestHeads(authority, secure=scheme == "https").write("POST", path, tuple(headers), size)
    expected = [(":method", "POST"), (":scheme", scheme), (":authority", authority)]
    expected += [(":path", path), *headers]
    if size is not None:
        expected.append(("content-length", str(size)))
    assert [(str(name), str(value)) for name, value in hpack.Decoder().decode(block)] == expected


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_each_method_can_be_written(method: str) -> None:
    """The admin API wants PATCH, which is not in the static table."""
    block = RequestHeads("h", secure=True).write(method, "/", (), None)
    assert str(next(iter(hpack.Decoder().decode(block)))[1]) == method


def test_a_token_is_never_put_into_a_table() -> None:
    """Neither here nor by a proxy on the way."""
    block = RequestHeads("h", secure=True).write("GET", "/", (("authorization", "Bearer x"),), None)
    (token,) = [each for each in hpack.Decoder().decode(block) if str(each[0]) == "authorization"]
    assert isinstance(token, hpack.NeverIndexedHeaderTuple)


def test_a_block_says_status_and_retry_after() -> None:
    """Equal blocks are decoded once, and say the same."""
    heads, block = AnswerHeads(), encoded((":status", "503"), ("retry-after", "9"), ("x", "y"))
    assert [heads.read(block) for _ in range(2)] == [AnswerHead(503, "9")] * 2


@pytest.mark.parametrize(
    "headers",
    [
        [("x", "y")],
        [(":status", "abc")],
        [(":status", "099")],
        [(":status", "202"), (":status", "503")],
        [("x", "y"), (":status", "202")],
        [(":status", "202"), (":path", "/")],
    ],
)
def test_a_block_without_one_status_is_no_answer(headers: list[tuple[str, str]]) -> None:
    """Whatever else it says."""
    assert AnswerHeads().read(encoded(*headers)).status == 0


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_refused(block: bytes) -> None:
    """Also with the dynamic table that the server was told not to use."""
    try:
        head = AnswerHeads().read(block)
    except ViolationError:
        return
    assert head.status == 0 or 100 <= head.status <= 999


def test_a_small_block_that_unfolds_is_refused() -> None:
    """As it would with a table that holds one large header."""
    large = encoded(("x", "y" * HEADERS_SIZE))
    with pytest.raises(ViolationError):
        AnswerHeads().read(large)
    with pytest.raises(ViolationError):
        AnswerHeads().read(b"\xbe" * 1000)


def test_what_is_remembered_is_bounded() -> None:
    """A server cannot fill memory with different blocks."""
    heads = AnswerHeads()
    for number in range(1000):
        heads.read(encoded((":status", "202"), ("x", str(number))))
    assert len(heads._known) <= 64
