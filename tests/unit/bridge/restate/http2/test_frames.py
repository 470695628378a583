"""Frames are cut out of bytes, however these arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.bridge.restate.http2 import frames
from kallback.bridge.restate.http2.frames import Frame, FrameReader, ViolationError, frame

FRAMES = st.builds(
    Frame,
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, frames.LAST_STREAM),
    st.binary(max_size=300),
)


@given(st.lists(FRAMES, max_size=20), st.lists(st.integers(0, 7000), max_size=30))
def test_any_split_of_the_bytes_gives_the_same_frames(sent: list[Frame], cuts: list[int]) -> None:
    """Also in the middle of a frame's head."""
    whole = b"".join(frame(*each) for each in sent)
    at = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    reader = FrameReader()
    parts = [whole[start:end] for start, end in pairwise(at)]
    assert [each for part in parts for each in reader.feed(part)] == sent


def test_a_frame_that_is_too_long_is_refused_by_its_head() -> None:
    """Its payload is never held."""
    with pytest.raises(ViolationError, match="too long"):
        FrameReader().feed(frame(0, 0, 1, b"x" * (frames.FRAME_SIZE + 1))[: frames.HEAD_SIZE])


@given(st.binary(max_size=50), st.integers(0, 60), st.sampled_from([b"", b"\x00\x00\x00\x03\x10"]))
def test_padding_and_priority_are_taken_off(body: bytes, padding: int, priority: bytes) -> None:
    """Whatever lies around the content."""
    flags = frames.PADDED | (frames.WITH_PRIORITY if priority else 0)
    payload = bytes([padding]) + priority + body + b"\x00" * padding
    assert frames.content(Frame(frames.HEADERS, flags, 1, payload)) == body


@pytest.mark.parametrize("payload", [b"", b"\x05abcd", b"\xff"])
def test_more_padding_than_payload_is_refused(payload: bytes) -> None:
    """It would take bytes of nothing."""
    with pytest.raises(ViolationError):
        frames.content(Frame(frames.DATA, frames.PADDED, 1, payload))


@given(st.binary(max_size=400))
def test_any_bytes_are_frames_or_refused(data: bytes) -> None:
    """Nothing else comes out of the reader than frames and its own error."""
    try:
        found = FrameReader().feed(data)
    except ViolationError:
        return
    assert sum(len(each.payload) + frames.HEAD_SIZE for each in found) <= len(data)
