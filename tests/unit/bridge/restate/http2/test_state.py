"""One HTTP/2 connection without a socket, against a server that keeps the protocol, or does not."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kallback.bridge.restate.http2 import frames
from kallback.bridge.restate.http2.frames import Code, Frame, FrameReader, frame
from kallback.bridge.restate.http2.header_blocks import HEADERS_SIZE
from kallback.bridge.restate.http2.state import ConnectionState
from kallback.bridge.restate.http2.streams import Stream, StreamEnd
from kallback.bridge.restate.requests import Request

BODY_LIMIT = 100
ANSWER = frames.END_HEADERS | frames.END_STREAM
REQUEST = Request("POST", "/", (), b"", lambda _: None, 0.0)


def block(*headers: tuple[str, str]) -> bytes:
    """A header block without a table."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return encoder.encode(list(headers))


def answer(stream: int, status: int = 202, flags: int = ANSWER) -> bytes:
    """A head of an answer."""
    return frame(frames.HEADERS, flags, stream, block((":status", str(status))))


def begun(**asked: int) -> ConnectionState:
    """A state whose server has sent its settings."""
    state = ConnectionState(BODY_LIMIT)
    state.receive(frames.settings({getattr(frames, name): value for name, value in asked.items()}))
    state.out.take()
    return state


def written(state: ConnectionState) -> list[Frame]:
    """The frames that the state writes now."""
    return FrameReader().feed(state.out.take())


def sent(state: ConnectionState, body: bytes = b"") -> list[tuple[int, int]]:
    """Kind and size of the frames that a request becomes."""
    state.send(REQUEST, b"\x83", body)
    return [(each.kind, len(each.payload)) for each in written(state)]


def outcome(ended: list[StreamEnd]) -> list[tuple[int, str, bool]]:
    """Status, failure, and whether the request may be sent again."""
    return [(each.stream.status, each.failure, each.unprocessed) for each in ended]


def test_a_session_begins_with_preface_and_settings_and_acknowledges() -> None:
    """No request may be sent before the server's settings are known."""
    state = ConnectionState(BODY_LIMIT)
    assert state.out.take().startswith(frames.PREFACE)
    assert state.capacity == 0
    state.receive(frames.settings({frames.MAX_CONCURRENT_STREAMS: 3}))
    assert state.capacity == 3
    assert written(state) == [Frame(frames.SETTINGS, frames.ACK, 0, b"")]


@given(st.lists(st.integers(1, 40), max_size=40), st.sampled_from([0, frames.PADDED]))
@settings(deadline=None)
def test_any_split_of_the_bytes_ends_the_same_streams(cuts: list[int], flags: int) -> None:
    """Interim answers, continuations, padding, bodies, trailers, resets and pings among them."""
    state = begun()
    for _ in range(4):
        state.send(REQUEST, b"\x83", b"x")
    head = block((":status", "503"), ("retry-after", "9"))
    first, rest = head[:3], head[3:]
    around = (b"\x02", b"\x00\x00") if flags else (b"", b"")
    whole = b"".join(
        [
            answer(1, 103, frames.END_HEADERS),
            frame(frames.PING, 0, 0, b"12345678"),
            frame(frames.HEADERS, flags, 3, around[0] + first + around[1]),
            frame(frames.CONTINUATION, frames.END_HEADERS, 3, rest),
            answer(5),
            frame(99, 1, 3, b"unknown"),
            frame(frames.DATA, flags, 3, around[0] + b"abc" + around[1]),
            frame(frames.HEADERS, ANSWER, 3, block(("x-trailer", "1"))),
            frames.reset(7, Code.REFUSED_STREAM),
            frame(frames.PRIORITY, 0, 5, b"\x00" * 5),
            answer(1),
        ]
    )
    ended, at = list[StreamEnd](), 0
    for cut in [*cuts, len(whole)]:
        ended += state.receive(whole[at : at + cut])
        at += cut
    assert outcome(ended) == [(202, "", False), (503, "", False), (0, ended[2].failure, True), (202, "", False)]
    assert (ended[1].stream.retry_after, b"".join(ended[1].stream.body)) == ("9", b"abc")
    assert (state.failure, state.streams) == ("", {})


def test_a_body_waits_for_both_windows() -> None:
    """And leaves in frames that the server takes, the last one with the end of the stream."""
    state = begun(INITIAL_WINDOW_SIZE=20_000)
    assert sent(state, b"x" * 70_000) == [(frames.HEADERS, 2), (frames.DATA, 16_384), (frames.DATA, 3_616)]
    state.receive(frames.window_update(1, 60_000))
    assert sum(len(each.payload) for each in written(state)) == 65_535 - 20_000
    state.receive(frames.window_update(0, 10_000))
    (last,) = written(state)
    assert (len(last.payload), last.flags) == (70_000 - 65_535, frames.END_STREAM)


def test_a_stream_whose_window_is_used_up_does_not_hold_up_others() -> None:
    """Only the connection's window does."""
    state = begun(INITIAL_WINDOW_SIZE=10)
    sent(state, b"x" * 20)
    assert sent(state, b"y" * 10) == [(frames.HEADERS, 1), (frames.DATA, 10)]


def test_a_change_of_the_initial_window_counts_for_open_streams() -> None:
    """It may even make their windows negative."""
    state = begun(INITIAL_WINDOW_SIZE=10)
    sent(state, b"x" * 30)
    state.receive(frames.settings({frames.INITIAL_WINDOW_SIZE: 5}))
    state.receive(frames.window_update(1, 5))
    assert [each.kind for each in written(state)] == [frames.SETTINGS]
    state.receive(frames.settings({frames.INITIAL_WINDOW_SIZE: 25}))
    assert [each.payload for each in written(state) if each.kind == frames.DATA] == [b"x" * 20]


def test_small_updates_that_come_together_lead_to_one_frame() -> None:
    """A frame for each would be credited as such, and frames would get smaller and smaller."""
    state = begun(INITIAL_WINDOW_SIZE=0)
    sent(state, b"x" * 100)
    state.receive(frames.window_update(1, 1) * 30)
    assert [each.payload for each in written(state)] == [b"x" * 30]


def test_windows_change_once_for_all_values_of_one_frame() -> None:
    """The last one counts; each would go through all streams."""
    state = begun()
    state.send(REQUEST, b"\x83", b"")
    many = b"".join(frames.settings({frames.INITIAL_WINDOW_SIZE: value})[frames.HEAD_SIZE :] for value in range(2000))
    changes, change = list[int](), state.out.set

    def counted(name: int, value: int, streams: dict[int, Stream]) -> None:
        changes.append(value)
        change(name, value, streams)

    state.out.set = counted  # type: ignore[method-assign]
    state.receive(frame(frames.SETTINGS, 0, 0, many))
    assert (changes, state.streams[1].window) == ([1999], 1999)


def test_larger_frames_are_sent_where_they_are_taken() -> None:
    """As the server's settings say, at any time."""
    state = begun()
    state.receive(frames.settings({frames.MAX_FRAME_SIZE: 20_000}))
    written(state)
    state.send(REQUEST, b"\x83", b"x" * 18_000)
    assert len(state.out.take()) == 18_000 + 1 + 1 + 2 * frames.HEAD_SIZE


def test_a_socket_that_takes_nothing_holds_bodies_back() -> None:
    """They would wait in its buffer, once more."""
    state = begun()
    state.out.paused = True
    assert sent(state, b"x") == [(frames.HEADERS, 2)]
    state.out.paused = False
    state.out.send_bodies()
    assert [each.payload for each in written(state)] == [b"x"]


def test_headers_longer_than_a_frame_are_continued() -> None:
    """A long token is one."""
    state = begun()
    state.send(REQUEST, b"\x83" * 40_000, b"x")
    found = written(state)
    assert [each.kind for each in found] == [frames.HEADERS, frames.CONTINUATION, frames.CONTINUATION, frames.DATA]
    assert [each.flags for each in found[:3]] == [0, 0, frames.END_HEADERS]


def test_a_smaller_table_is_acknowledged_in_the_next_block() -> None:
    """Though none is used."""
    state = begun(HEADER_TABLE_SIZE=0)
    assert [sent(state), sent(state)] == [[(frames.HEADERS, 2)], [(frames.HEADERS, 1)]]
    state.receive(frames.settings({frames.HEADER_TABLE_SIZE: 0}))
    written(state)
    assert sent(state) == [(frames.HEADERS, 2)]


def test_a_server_that_allows_fewer_streams_gets_no_more() -> None:
    """The open ones go on."""
    state = begun(MAX_CONCURRENT_STREAMS=2)
    sent(state)
    state.receive(frames.settings({frames.MAX_CONCURRENT_STREAMS: 0}))
    assert state.capacity <= 0
    assert outcome(state.receive(answer(1))) == [(202, "", False)]


def test_streams_above_the_last_one_of_a_goaway_may_be_sent_again() -> None:
    """The others are answered yet; no new one is opened."""
    state = begun()
    for _ in range(3):
        state.send(REQUEST, b"\x83", b"")
    going = frame(frames.GOAWAY, 0, 0, b"\x00\x00\x00\x03" + b"\x00" * 4 + b"bye")
    assert outcome(state.receive(going)) == [(0, "it is going away", True)]
    assert state.capacity == 0
    assert outcome(state.receive(answer(1) + answer(3))) == [(202, "", False)] * 2


@pytest.mark.parametrize("code", [Code.REFUSED_STREAM, Code.HTTP_1_1_REQUIRED])
def test_a_reset_may_say_that_the_request_was_not_looked_at(code: Code) -> None:
    """Then it may be sent again."""
    state = begun()
    state.send(REQUEST, b"\x83", b"")
    (ended,) = state.receive(frames.reset(1, code))
    assert ended.unprocessed


@pytest.mark.parametrize(
    "bytes_of_it",
    [
        frames.reset(1, Code.HTTP_1_1_REQUIRED),
        frame(frames.GOAWAY, 0, 0, bytes(4) + Code.HTTP_1_1_REQUIRED.to_bytes(4)),
    ],
)
def test_no_request_is_sent_to_a_server_that_wants_http1(bytes_of_it: bytes) -> None:
    """It would refuse each one, as long as the connection lasts."""
    state = begun()
    state.send(REQUEST, b"\x83", b"")
    (ended,) = state.receive(bytes_of_it)
    assert (ended.unprocessed, state.needs_http1, state.capacity) == (True, True, 0)


def test_a_request_that_was_reset_otherwise_may_have_been_processed() -> None:
    """The sender decides."""
    state = begun()
    state.send(REQUEST, b"\x83", b"")
    (ended,) = state.receive(frames.reset(1, Code.CANCEL))
    assert not ended.unprocessed


def test_an_answer_before_the_whole_body_ends_the_request() -> None:
    """The rest is not sent, and the connection goes on."""
    state = begun(INITIAL_WINDOW_SIZE=10)
    sent(state, b"x" * 100)
    assert outcome(state.receive(answer(1, 413))) == [(413, "", False)]
    assert written(state) == FrameReader().feed(frames.reset(1, Code.NO_ERROR))
    state.receive(frames.window_update(1, 100))
    assert (written(state), state.failure) == ([], "")


def test_the_connections_window_is_raised_for_all_that_comes() -> None:
    """Also for what is thrown away."""
    state = begun()
    state.send(REQUEST, b"\x83", b"")
    state.cancel(1)
    written(state)
    for _ in range(8):
        state.receive(frame(frames.DATA, 0, 1, b"x" * 16_000))
    raised = [int.from_bytes(each.payload) for each in written(state) if each.kind == frames.WINDOW_UPDATE]
    assert sum(raised) >= 8 * 16_000 - 32_768


def test_a_body_is_kept_up_to_its_limit_and_cut_beyond_reason() -> None:
    """The status counts all the same."""
    state = begun()
    state.send(REQUEST, b"\x83", b"")
    state.receive(answer(1, 500, frames.END_HEADERS))
    ended = list[StreamEnd]()
    for _ in range(5):
        ended += state.receive(frame(frames.DATA, 0, 1, b"x" * 16_000))
    assert outcome(ended) == [(500, "its answer is too large", False)]
    assert b"".join(ended[0].stream.body) == b"x" * BODY_LIMIT
    assert Frame(frames.RST_STREAM, 0, 1, b"\x00\x00\x00\x08") in written(state)


def test_the_last_stream_of_a_connection() -> None:
    """There is no number left for another one, so a new connection is opened."""
    state = begun()
    state._next = frames.LAST_STREAM
    assert state.send(REQUEST, b"\x83", b"") == frames.LAST_STREAM
    assert state.capacity == 0
    assert outcome(state.receive(answer(frames.LAST_STREAM))) == [(202, "", False)]


HEAD = frame(frames.HEADERS, 0, 1, b"\x88")
WINDOW = (1 << 31) - 1


@pytest.mark.parametrize(
    ("bytes_of_it", "code"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Code.FRAME_SIZE_ERROR),
        (frame(frames.PUSH_PROMISE, frames.END_HEADERS, 1, b"\x00\x00\x00\x02\x82"), Code.PROTOCOL_ERROR),
        (frame(frames.CONTINUATION, frames.END_HEADERS, 1, b"\x88"), Code.PROTOCOL_ERROR),
        (HEAD + frame(frames.PING, 0, 0, b"12345678"), Code.PROTOCOL_ERROR),
        (HEAD + frame(frames.CONTINUATION, frames.END_HEADERS, 3, b""), Code.PROTOCOL_ERROR),
        (HEAD + frame(frames.CONTINUATION, 0, 1, b"x" * 16_000) * 5, Code.ENHANCE_YOUR_CALM),
        (HEAD + frame(frames.CONTINUATION, 0, 1, b"") * 11_000, Code.ENHANCE_YOUR_CALM),
        (answer(2), Code.PROTOCOL_ERROR),
        (answer(0), Code.PROTOCOL_ERROR),
        (answer(99), Code.PROTOCOL_ERROR),
        (frame(frames.DATA, 0, 99, b"x"), Code.PROTOCOL_ERROR),
        (frame(frames.HEADERS, ANSWER, 1, b"\xff\xff\xff"), Code.COMPRESSION_ERROR),
        (frame(frames.PING, 0, 0, b"short"), Code.FRAME_SIZE_ERROR),
        (frame(frames.PING, 0, 1, b"12345678"), Code.PROTOCOL_ERROR),
        (frame(frames.PING, 0, 0, b"12345678") * 11_000, Code.ENHANCE_YOUR_CALM),
        (frame(frames.PRIORITY, 0, 1, b"\x00" * 5) * 11_000, Code.ENHANCE_YOUR_CALM),
        (frame(frames.PRIORITY, 0, 0, b"\x00" * 5), Code.PROTOCOL_ERROR),
        (frames.settings({}) * 11_000, Code.ENHANCE_YOUR_CALM),
        (frames.settings({frames.INITIAL_WINDOW_SIZE: 1 << 31}), Code.FLOW_CONTROL_ERROR),
        (frames.settings({frames.MAX_FRAME_SIZE: 1}), Code.PROTOCOL_ERROR),
        (frame(frames.SETTINGS, 0, 0, b"short"), Code.FRAME_SIZE_ERROR),
        (frame(frames.SETTINGS, 0, 1), Code.PROTOCOL_ERROR),
        (frame(frames.SETTINGS, frames.ACK, 0, b"123456"), Code.PROTOCOL_ERROR),
        (frames.window_update(0, WINDOW) * 2, Code.FLOW_CONTROL_ERROR),
        (frames.window_update(0, 0), Code.FLOW_CONTROL_ERROR),
        (frames.window_update(99, 1), Code.PROTOCOL_ERROR),
        (frames.window_update(0, 1) * 11_000, Code.ENHANCE_YOUR_CALM),
        (answer(1, 100, frames.END_HEADERS) * 11_000, None),
        (answer(1, 200, frames.END_HEADERS) + frame(frames.DATA, 0, 1, b"") * 11_000, Code.ENHANCE_YOUR_CALM),
        (answer(1, 200, frames.END_HEADERS) + frame(frames.HEADERS, 4, 1, b"") * 11_000, Code.ENHANCE_YOUR_CALM),
        (frame(99, 0, 0, b"") * 11_000, Code.ENHANCE_YOUR_CALM),
    ],
)
def test_what_a_server_must_not_do(bytes_of_it: bytes, code: Code | None) -> None:
    """The request has failed, the connection is closed or the answer given up, and nothing has grown."""
    state = begun()
    state.send(REQUEST, b"\x83", b"")
    state.out.take()
    (ended,) = state.receive(bytes_of_it)
    assert ended.failure
    assert state.streams == {}
    out = written(state)
    assert len(out) <= 10_001
    if code is None:  # given up before that
        assert out[-1].kind in {frames.RST_STREAM, frames.GOAWAY}
    else:
        assert (out[-1].kind, out[-1].payload[4:]) == (frames.GOAWAY, code.to_bytes(4))
        assert (state.failure, state.capacity) == (ended.failure, 0)
        assert state.receive(answer(1)) == []


def test_updates_that_let_nothing_be_sent_are_counted() -> None:
    """The stream's window is empty, and stays so."""
    state = begun(INITIAL_WINDOW_SIZE=0)
    sent(state, b"x")
    for _ in range(11):
        state.receive(frames.window_update(0, 1) * 1000)
    assert state.failure == "it sends frames without end"


def test_updates_that_let_something_be_sent_are_not_counted() -> None:
    """However small they are."""
    state = begun(INITIAL_WINDOW_SIZE=0)
    sent(state, b"x" * 20_000)
    for _ in range(11):
        state.receive(frames.window_update(1, 1) * 1000)
    assert (state.failure, len(written(state))) == ("", 11)


@pytest.mark.parametrize(
    "bytes_of_it",
    [
        frame(frames.DATA, frames.END_STREAM, 1, b"x"),
        answer(1, 103),
        frame(frames.HEADERS, ANSWER, 1, block(("x", "y"))),
        frames.window_update(1, 0),
        frames.window_update(1, WINDOW),
    ],
)
def test_a_wrong_answer_costs_its_request_only(bytes_of_it: bytes) -> None:
    """The other requests of the connection go on."""
    state = begun()
    state.send(REQUEST, b"\x83", b"")
    state.send(REQUEST, b"\x83", b"")
    (ended,) = state.receive(bytes_of_it)
    assert (ended.stream.status, ended.unprocessed) == (0, False)
    assert outcome(state.receive(answer(3))) == [(202, "", False)]


def test_more_than_the_connections_window_is_refused() -> None:
    """Were it not raised in time."""
    state = begun()
    for _ in range(5):
        state.send(REQUEST, b"\x83", b"")
    state._consumed = 65_535
    state.receive(frame(frames.DATA, 0, 1, b"x"))
    assert state.failure == "it sends more than it may"


def test_a_large_head_is_refused() -> None:
    """By its size when decoded."""
    state = begun()
    state.send(REQUEST, b"\x83", b"")
    state.receive(frame(frames.HEADERS, ANSWER, 1, block((":status", "202"), *[("x", "")] * (HEADERS_SIZE // 32))))
    assert state.failure == "its answer's head is too large"


ANY = st.tuples(st.integers(0, 10), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=30))


@given(st.lists(ANY, max_size=30))
@settings(deadline=None)
def test_any_frames_end_each_stream_once(sent_frames: list[tuple[int, int, int, bytes]]) -> None:
    """A server can break the connection, and nothing else."""
    state = begun()
    streams = [state.streams[state.send(REQUEST, b"\x83", b"abc")] for _ in range(4)]
    ended = [each.stream for one in sent_frames for each in state.receive(frame(*one))]
    ended += [each.stream for each in state.lost("it broke")]
    assert sorted(map(id, ended)) == sorted(map(id, streams))
