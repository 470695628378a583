"""Which stream sends next: one after the other, in the order in which they became ready.

In place of the tree of priorities that hypercorn makes: HTTP/2 has given priorities up (RFC 9113, 5.3.2), Restate sends
none, and the tree costs more than what it orders.
"""

from __future__ import annotations

from typing import Final

from priority.priority import DeadlockError, DuplicateStreamError, MissingStreamError


class StreamsInTurn:
    """The part of `priority.PriorityTree` that hypercorn uses."""

    def __init__(self) -> None:
        self._blocked: Final = set[int]()
        self._ready: Final = dict[int, None]()

    def __len__(self) -> int:
        return len(self._blocked) + len(self._ready)

    def insert_stream(self, stream_id: int) -> None:
        """Add a stream, which is ready.

        Raises:
            DuplicateStreamError: it is there.
        """
        if stream_id in self._ready or stream_id in self._blocked:
            raise DuplicateStreamError(f"stream {stream_id} is there")
        self._ready[stream_id] = None

    def remove_stream(self, stream_id: int) -> None:
        """Forget a stream.

        Raises:
            MissingStreamError: it is not there.
        """
        self._require(stream_id)
        self._blocked.discard(stream_id)
        self._ready.pop(stream_id, None)

    def block(self, stream_id: int) -> None:
        """Take note that a stream has nothing to send, or may not.

        Raises:
            MissingStreamError: it is not there.
        """
        self._require(stream_id)
        self._ready.pop(stream_id, None)
        self._blocked.add(stream_id)

    def unblock(self, stream_id: int) -> None:
        """Take note that a stream may have something to send.

        Raises:
            MissingStreamError: it is not there.
        """
        self._require(stream_id)
        self._blocked.discard(stream_id)
        self._ready[stream_id] = None

    def __next__(self) -> int:
        """The stream whose turn it is; it is the last one of the next turn.

        Raises:
            DeadlockError: none is ready.
        """
        for stream_id in self._ready:
            del self._ready[stream_id]
            self._ready[stream_id] = None
            return stream_id
        raise DeadlockError("no stream is ready")

    def _require(self, stream_id: int) -> None:
        if stream_id not in self._ready and stream_id not in self._blocked:
            raise MissingStreamError(f"stream {stream_id} is not there")
