"""h2's state of a connection that may have any number of streams.

For each new stream h2 counts those that are open, to hold them against their bound, and forgets those that are closed.
It looks at all of them, which takes 0.6 ms at 5,000. Without a bound nothing needs counting, and the closed ones are
forgotten together, when there are as many as others.
"""

from __future__ import annotations

from typing import Final, Self

from h2.connection import H2Connection

_LEAST: Final = 500


class ManyStreamsConnection(H2Connection):
    """The server's side of a connection whose number of streams has no bound."""

    _tidy_at = _LEAST

    @classmethod
    def like(cls, other: H2Connection) -> Self:
        """Return one in place of another, which is not used yet."""
        connection = cls(config=other.config)
        connection.DEFAULT_MAX_INBOUND_FRAME_SIZE = other.DEFAULT_MAX_INBOUND_FRAME_SIZE
        connection.local_settings = other.local_settings
        return connection

    def _open_streams(self, remainder: int) -> int:
        """Return at least how many streams are open."""
        if len(self.streams) >= self._tidy_at:
            super()._open_streams(remainder)
            self._tidy_at = 2 * len(self.streams) + _LEAST
        return len(self.streams)
