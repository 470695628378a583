"""Which stream sends next."""

from __future__ import annotations

import pytest
from priority.priority import DeadlockError, DuplicateStreamError, MissingStreamError

from kallback.sdk.serving.streams_in_turn import StreamsInTurn


def test_ready_streams_send_one_after_the_other() -> None:
    """None waits for more than one turn of each of the others."""
    streams = StreamsInTurn()
    for stream in (5, 1, 3):
        streams.insert_stream(stream)
    assert [next(streams) for _ in range(6)] == [5, 1, 3, 5, 1, 3]


def test_a_blocked_stream_has_no_turn_until_it_is_ready_again() -> None:
    """It comes after those that were ready."""
    streams = StreamsInTurn()
    streams.insert_stream(1)
    streams.insert_stream(3)
    streams.block(1)
    assert [next(streams), next(streams)] == [3, 3]
    streams.unblock(1)
    assert [next(streams), next(streams)] == [3, 1]


def test_where_none_is_ready_there_is_no_next_one() -> None:
    """Hypercorn waits for data then."""
    streams = StreamsInTurn()
    streams.insert_stream(1)
    streams.block(1)
    with pytest.raises(DeadlockError):
        next(streams)


@pytest.mark.parametrize("is_blocked", [True, False])
def test_a_removed_stream_is_unknown(is_blocked: bool) -> None:  # noqa: FBT001
    """As one that never was."""
    streams = StreamsInTurn()
    streams.insert_stream(1)
    if is_blocked:
        streams.block(1)
    with pytest.raises(DuplicateStreamError):
        streams.insert_stream(1)
    streams.remove_stream(1)
    assert len(streams) == 0
    for act in (streams.block, streams.unblock, streams.remove_stream):
        with pytest.raises(MissingStreamError):
            act(1)
