"""The pipe between a worker and a child process, for messages of any size. Neither end ever waits for a dead process.

A child can be killed in the middle of a message, sent or received, while a process that it has forked holds its end of
the pipe: then neither the rest comes nor an error. So the worker's end never blocks: while it waits, it looks whether
the child is alive. The child's end blocks: when the worker dies, nothing else holds the other end.

A message is its length (8 bytes, big endian) and its pickle.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Final, final

from kallback.workers.pickling import pickled, unpickled

_LOOK_INTERVAL_S: Final = 1.0  # how often a silent child is looked at
_LENGTH_BYTES: Final = 8
_READ_BYTES: Final = 64 * 1024


@final
class WorkerEnd:
    """The worker's end. One thread.

    Args:
        pipe: nothing else reads or writes it.
        is_alive: whether the child lives.
    """

    def __init__(self, pipe: Connection, is_alive: Callable[[], bool]) -> None:
        self._pipe: Final = pipe
        self._is_alive: Final = is_alive
        self._arrived: Final = bytearray()
        os.set_blocking(pipe.fileno(), False)

    def send(self, message: Any) -> None:
        """Send a message.

        Raises:
            EOFError, OSError: the child is gone.
        """
        left = memoryview(_framed(message))
        while left:
            try:
                left = left[os.write(self._pipe.fileno(), left) :]
            except BlockingIOError:
                self._wait(select.POLLOUT)

    def receive(self) -> Any:
        """Wait for the next message.

        Raises:
            EOFError, OSError: the child is gone.
        """
        while (message := self._next()) is None:
            self._wait(select.POLLIN)
            self._read()
        return message

    def discard(self) -> None:
        """Drop the messages that are there; what is there of an incomplete one stays.

        Raises:
            EOFError, OSError: the child is gone.
        """
        with contextlib.suppress(BlockingIOError):
            while True:
                while self._next() is not None:
                    pass
                self._read()

    def close(self) -> None:
        """Close this end."""
        self._pipe.close()

    def _read(self) -> None:
        data = os.read(self._pipe.fileno(), _READ_BYTES)
        if not data:
            raise EOFError
        self._arrived.extend(data)

    def _next(self) -> Any:
        """Return the next message; None while it is not complete."""
        start = _LENGTH_BYTES
        if len(self._arrived) < start:
            return None
        end = start + int.from_bytes(self._arrived[:start])
        if len(self._arrived) < end:
            return None
        data = bytes(self._arrived[start:end])
        del self._arrived[:end]
        return unpickled(data)

    def _wait(self, event: int) -> None:
        """Return when the pipe can be read or written, or has ended; EOFError if it cannot and the child has ended."""
        poll = select.poll()
        poll.register(self._pipe.fileno(), event)
        while not poll.poll(_LOOK_INTERVAL_S * 1000):
            if not self._is_alive() and not poll.poll(0):
                raise EOFError


@final
class ChildEnd:
    """The child's end. One thread receives; senders take turns."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe: Final = pipe

    def send(self, message: Any) -> None:
        """Send a message; OSError if the worker is gone."""
        left = memoryview(_framed(message))
        while left:
            left = left[os.write(self._pipe.fileno(), left) :]

    def receive(self) -> Any:
        """Wait for the next message.

        Raises:
            EOFError, OSError: the worker is gone.
        """
        return unpickled(self._exactly(int.from_bytes(self._exactly(_LENGTH_BYTES))))

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            read = os.read(self._pipe.fileno(), min(_READ_BYTES, size - len(data)))
            if not read:
                raise EOFError
            data += read
        return bytes(data)


def _framed(message: Any) -> bytes:
    data = pickled(message)
    return len(data).to_bytes(_LENGTH_BYTES) + data
