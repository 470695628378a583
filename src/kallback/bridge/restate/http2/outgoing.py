"""What is sent on one HTTP/2 connection, within what the other side allows: its settings and both flow-control windows.

A body that does not fit into the windows waits as a view of itself; those that wait are served in their order.
"""

from __future__ import annotations

from typing import Final

from kallback.bridge.restate.http2 import frames
from kallback.bridge.restate.http2.frames import Code, ViolationError, frame
from kallback.bridge.restate.http2.header_blocks import NO_TABLE
from kallback.bridge.restate.http2.streams import Stream

_WINDOW: Final = 65_535
_LARGEST_FRAME: Final = 65_536
"""Of the frames that are sent, however long the other side lets them be."""


class Outgoing:
    """Frames that are to be written, and bodies that wait.

    Attributes:
        paused: the socket takes no more bytes for now, so bodies wait.
        streams: how many the other side allows at one time.
        window: of a new stream.
    """

    def __init__(self) -> None:
        self.paused = False
        self.streams = frames.LAST_STREAM
        self.window = _WINDOW
        self._all_window = _WINDOW
        self._frame_size = frames.FRAME_SIZE
        self._no_table = NO_TABLE
        self._frames: list[bytes] = []
        self._waiting: dict[int, Stream] = {}

    def take(self) -> bytes:
        """Return what is to be written now."""
        out = self._frames
        if not out:
            return b""
        self._frames = []
        return b"".join(out)

    def add(self, *of: bytes) -> None:
        """Add frames."""
        self._frames.extend(of)

    def send(self, number: int, stream: Stream, block: bytes, body: bytes) -> None:
        """Send a request: its headers, and its body as soon as it fits."""
        if self._no_table:
            block, self._no_table = self._no_table + block, b""
        flags = frames.END_HEADERS if body else frames.END_HEADERS | frames.END_STREAM
        if len(block) <= self._frame_size:
            self._frames.append(frame(frames.HEADERS, flags, number, block))
        else:
            self._send_long(number, block, flags)
        size = len(body)
        if not size:
            return
        fits = size <= self._all_window and size <= stream.window and size <= self._frame_size
        if fits and not (self._waiting or self.paused):
            self._all_window -= size
            stream.window -= size
            self._frames.append(frame(frames.DATA, frames.END_STREAM, number, body))
        else:
            stream.unsent = memoryview(body)
            self._waiting[number] = stream
            self.send_bodies()

    def send_bodies(self) -> bool:
        """Send of the waiting bodies what the windows allow; return whether that was anything."""
        before = len(self._frames)
        for number, stream in list(self._waiting.items()):
            unsent = stream.unsent
            while unsent and not self.paused:
                size = min(len(unsent), stream.window, self._all_window, self._frame_size)
                if size <= 0:
                    break
                part, unsent = unsent[:size], unsent[size:]
                stream.unsent = unsent
                stream.window -= size
                self._all_window -= size
                self._frames.append(frame(frames.DATA, 0 if unsent else frames.END_STREAM, number, bytes(part)))
            if not unsent:
                del self._waiting[number]
            elif self.paused or self._all_window <= 0:
                break
        return len(self._frames) > before

    def forget(self, number: int) -> bool:
        """Send nothing more of a stream; return whether something of it was not sent."""
        return self._waiting.pop(number, None) is not None

    def forget_all(self) -> None:
        """Send nothing more of any stream."""
        self._waiting.clear()

    def _send_long(self, number: int, block: bytes, flags: int) -> None:
        most = self._frame_size
        pieces = [block[at : at + most] for at in range(0, len(block), most)]
        self._frames.append(frame(frames.HEADERS, flags & ~frames.END_HEADERS, number, pieces[0]))
        for part in pieces[1:-1]:
            self._frames.append(frame(frames.CONTINUATION, 0, number, part))
        self._frames.append(frame(frames.CONTINUATION, frames.END_HEADERS, number, pieces[-1]))

    # What the other side allows.

    def enlarge_window(self, stream: Stream | None, by: int) -> bool:
        """Enlarge the window of a stream, or of the connection (None); return whether that is possible."""
        if stream is not None:
            stream.window += by
            return by > 0 and stream.window <= frames.LARGEST_WINDOW
        self._all_window += by
        return by > 0 and self._all_window <= frames.LARGEST_WINDOW

    def set(self, name: int, value: int, streams: dict[int, Stream]) -> None:
        """Follow a setting, at any time.

        Raises:
            ViolationError: it has a value that it must not have.
        """
        if name == frames.MAX_CONCURRENT_STREAMS:
            self.streams = value
        elif name == frames.HEADER_TABLE_SIZE:  # a smaller table must be acknowledged in the next block
            self._no_table = NO_TABLE
        elif name == frames.INITIAL_WINDOW_SIZE:
            self._set_window(value, streams)
        elif name == frames.MAX_FRAME_SIZE:
            if not frames.FRAME_SIZE <= value < 1 << 24:
                raise ViolationError(Code.PROTOCOL_ERROR, "its frame size is wrong")
            self._frame_size = min(value, _LARGEST_FRAME)

    def _set_window(self, value: int, streams: dict[int, Stream]) -> None:
        by, self.window = value - self.window, value
        for stream in streams.values():
            stream.window += by
        if max([value, *(stream.window for stream in streams.values())]) > frames.LARGEST_WINDOW:
            raise ViolationError(Code.FLOW_CONTROL_ERROR, "its window is too large")
