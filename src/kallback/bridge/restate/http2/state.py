"""The client's side of one HTTP/2 connection, without a socket: bytes and requests in, bytes and events out.

Everything that the other side can make grow is bounded: an answer's headers and what is kept of its body, frames that
lead to nothing (`_IDLE_FRAMES`), and what was sent and not accepted.

A stream's receive window is what may be read of one answer, so it is never raised: a server that sends more is told to
stop. The connection's window is raised as bytes come in, whatever becomes of them.
"""

from __future__ import annotations

from typing import Final

from kallback.bridge.restate.http2 import frames
from kallback.bridge.restate.http2.frames import Code, Frame, FrameReader, ViolationError, frame
from kallback.bridge.restate.http2.header_blocks import HEADERS_SIZE, AnswerHeads
from kallback.bridge.restate.http2.outgoing import Outgoing
from kallback.bridge.restate.http2.streams import Stream, StreamEnd
from kallback.bridge.restate.requests import Request

_WINDOW: Final = 65_535
_TOP_UP: Final = 32_768
_IDLE_FRAMES: Final = 10_000
_FINAL: Final = 200
_UNUSUAL: Final = frames.PADDED | frames.WITH_PRIORITY


class ConnectionState:
    """One connection.

    Args:
        body_limit: bytes of an answer's body that are kept.

    Attributes:
        ready: the server's settings have arrived.
        open: requests may be sent, as far as `capacity` says.
        failure: why the connection must be closed; empty as long as it need not.
        needs_http1: the server wants HTTP/1.1 for what it was asked.
        streams: requests under way.
        out: what is to be written.
    """

    def __init__(self, body_limit: int) -> None:
        self.ready = self.needs_http1 = False
        self.open = True
        self.failure = ""
        self.streams: dict[int, Stream] = {}
        self.out = Outgoing()
        self._body_limit = body_limit
        self._answer_limit = HEADERS_SIZE + body_limit
        self._reader = FrameReader()
        self._heads = AnswerHeads()
        self._next = 1
        self._consumed = self._idle_frames = 0
        self._allows_more = False
        self._block: list[Frame] = []
        self._block_size = 0
        self._ended: list[StreamEnd] = []
        self._handlers = {
            frames.DATA: self._on_data,
            frames.HEADERS: self._on_headers,
            frames.PRIORITY: self._on_priority,
            frames.RST_STREAM: self._on_reset,
            frames.SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_wrong,
            frames.PING: self._on_ping,
            frames.GOAWAY: self._on_goaway,
            frames.WINDOW_UPDATE: self._on_window_update,
            frames.CONTINUATION: self._on_wrong,
        }
        asked = {
            frames.HEADER_TABLE_SIZE: 0,
            frames.ENABLE_PUSH: 0,
            frames.INITIAL_WINDOW_SIZE: self._answer_limit,
            frames.MAX_HEADER_LIST_SIZE: HEADERS_SIZE,
        }
        self.out.add(frames.PREFACE, frames.settings(asked))

    # What the client does.

    @property
    def capacity(self) -> int:
        """How many more requests may be sent now; negative where the server allows less than before."""
        return self.out.streams - len(self.streams) if self.open and self.ready else 0

    def send(self, request: Request, block: bytes, body: bytes) -> int:
        """Send a request; there must be room. Return its stream."""
        number = self._next
        self._next = number + 2
        if self._next > frames.LAST_STREAM:
            self.open = False
        stream = self.streams[number] = Stream(request, self.out.window)
        self.out.send(number, stream, block, body)
        return number

    def cancel(self, number: int) -> Stream | None:
        """Give up on a request."""
        stream = self._drop(number)
        if stream is not None:
            self.out.add(frames.reset(number, Code.CANCEL))
        return stream

    def retire(self) -> None:
        """Send no more requests."""
        self.open = False

    def lost(self, why: str) -> list[StreamEnd]:
        """Nothing more can be sent or received: end all streams."""
        self.open = False
        self.failure = self.failure or why
        ended = [StreamEnd(stream, self.failure) for stream in self.streams.values()]
        self.streams.clear()
        self.out.forget_all()
        return ended

    # What the server does.

    def receive(self, data: bytes) -> list[StreamEnd]:
        """Read bytes; return the streams that they end."""
        self._ended = ended = list[StreamEnd]()
        if self.failure:
            return ended
        try:
            for each in self._reader.feed(data):
                if each.kind == frames.HEADERS and self.ready and not self._block:
                    self._on_headers(each)
                else:
                    self._on_other(each)
            self._send_bodies()
        except ViolationError as error:
            self.out.add(frames.goaway(error.code))
            ended.extend(self.lost(str(error)))
        return ended

    def _on_other(self, of: Frame) -> None:
        if self._block:
            self._on_continuation(of)
        elif not self.ready and (of.kind != frames.SETTINGS or of.flags & frames.ACK):
            raise ViolationError(Code.PROTOCOL_ERROR, "it does not begin with SETTINGS")
        elif of.kind in self._handlers:
            self._handlers[of.kind](of)
        else:
            self._useless()

    def _send_bodies(self) -> None:
        """Send what was allowed, once for all that came: frame by frame, small updates would lead to small frames."""
        if self._allows_more:
            self._allows_more = False
            if self.out.send_bodies():
                self._idle_frames = 0

    def _drop(self, number: int) -> Stream | None:
        self.out.forget(number)
        return self.streams.pop(number, None)

    def _finish(self, number: int, stream: Stream) -> None:
        """End a stream that was answered."""
        del self.streams[number]
        self._idle_frames = 0
        if stream.unsent is not None and self.out.forget(number):
            self.out.add(frames.reset(number, Code.NO_ERROR))
        self._ended.append(StreamEnd(stream))

    def _refuse(self, number: int, code: Code, why: str) -> None:
        """End a stream whose answer cannot be used further; its status counts if it has one."""
        stream = self._drop(number)
        if stream is not None:
            self.out.add(frames.reset(number, code))
            self._ended.append(StreamEnd(stream, why))

    def _useless(self) -> None:
        """Count a frame that brings no answer nearer."""
        self._idle_frames += 1
        if self._idle_frames > _IDLE_FRAMES:
            raise ViolationError(Code.ENHANCE_YOUR_CALM, "it sends frames without end")

    def _require_known(self, number: int) -> None:
        """Refuse a frame for a stream that was never opened."""
        if not number % 2 or number >= self._next:
            raise ViolationError(Code.PROTOCOL_ERROR, "it answers what it was not asked")

    def _check_size(self, number: int, stream: Stream) -> None:
        if stream.received >= self._answer_limit:
            self._refuse(number, Code.CANCEL, "its answer is too large")

    def _on_headers(self, of: Frame) -> None:
        flags = of.flags
        block = frames.content(of) if flags & _UNUSUAL else of.payload
        if flags & frames.END_HEADERS:
            self._on_block(of.stream, block, flags & frames.END_STREAM)
        else:
            self._require_known(of.stream)
            self._block = [of._replace(payload=block)]
            self._block_size = len(block)

    def _on_continuation(self, of: Frame) -> None:
        first, last = self._block[0], of.flags & frames.END_HEADERS
        if of.kind != frames.CONTINUATION or of.stream != first.stream:
            raise ViolationError(Code.PROTOCOL_ERROR, "it breaks off a header block")
        self._useless()
        self._block.append(of)
        self._block_size += len(of.payload)
        if self._block_size > HEADERS_SIZE:
            raise ViolationError(Code.ENHANCE_YOUR_CALM, "its answer's head is too large")
        if last:
            block = b"".join(each.payload for each in self._block)
            self._block = []
            self._on_block(first.stream, block, first.flags & frames.END_STREAM)

    def _on_block(self, number: int, block: bytes, last: int) -> None:
        stream = self.streams.get(number)
        if stream is None:
            self._require_known(number)
            self._useless()
            return
        if not stream.status:
            head = self._heads.read(block)
            if head.status >= _FINAL:
                stream.status, stream.retry_after = head
            elif not head.status or last:
                self._refuse(number, Code.PROTOCOL_ERROR, "its answer has no status")
                return
        if last:
            self._finish(number, stream)
        else:
            self._useless()
            stream.received += len(block)
            self._check_size(number, stream)

    def _on_data(self, of: Frame) -> None:
        number, size = of.stream, len(of.payload)
        self._require_known(number)
        self._receive(size)
        body = frames.content(of) if of.flags & frames.PADDED else of.payload
        stream = self.streams.get(number)
        if stream is None or not body:  # given up, or there is nothing in it
            self._useless()
        if stream is None:
            return
        if not stream.status:
            self._refuse(number, Code.PROTOCOL_ERROR, "its answer has no status")
            return
        stream.received += size
        remaining = self._body_limit - stream.size
        if remaining > 0 and body:
            stream.body.append(body[:remaining])
            stream.size += len(body)
        if of.flags & frames.END_STREAM:
            self._finish(number, stream)
        else:
            self._check_size(number, stream)

    def _receive(self, size: int) -> None:
        """Count bytes against the connection's window, and enlarge it."""
        self._consumed += size
        if self._consumed > _WINDOW:
            raise ViolationError(Code.FLOW_CONTROL_ERROR, "it sends more than it may")
        if self._consumed >= _TOP_UP:
            self.out.add(frames.window_update(0, self._consumed))
            self._consumed = 0

    def _on_reset(self, of: Frame) -> None:
        code = frames.number(of)
        self._require_known(of.stream)
        stream = self._drop(of.stream)
        if stream is None:
            self._useless()
            return
        if code == Code.HTTP_1_1_REQUIRED:
            self.needs_http1, self.open = True, False
        unprocessed = not stream.status and code in {Code.REFUSED_STREAM, Code.HTTP_1_1_REQUIRED}
        self._ended.append(StreamEnd(stream, f"it reset the request with code {code}", unprocessed))

    def _on_settings(self, of: Frame) -> None:
        acknowledges = of.flags & frames.ACK
        if of.stream or (acknowledges and of.payload):
            raise ViolationError(Code.PROTOCOL_ERROR, "its SETTINGS are wrong")
        self._useless()
        if acknowledges:
            return
        for name, value in dict(frames.settings_of(of)).items():  # the last value counts: one change of all windows
            self.out.set(name, value, self.streams)
        self.ready = True
        self.out.add(frame(frames.SETTINGS, frames.ACK, 0))
        self._allows_more = True

    def _on_ping(self, of: Frame) -> None:
        if of.stream:
            raise ViolationError(Code.PROTOCOL_ERROR, "its PING is wrong")
        frames.number(of, size=8)
        self._useless()
        if not of.flags & frames.ACK:
            self.out.add(frame(frames.PING, frames.ACK, 0, of.payload))

    def _on_goaway(self, of: Frame) -> None:
        begin = of._replace(payload=of.payload[:8])
        last = frames.number(begin, size=8) & frames.LAST_STREAM
        self.needs_http1 = self.needs_http1 or frames.number(begin, 4, size=8) == Code.HTTP_1_1_REQUIRED
        self.open = False
        self._useless()
        for number in [each for each in self.streams if each > last]:
            stream = self.streams[number]
            self._drop(number)
            self._ended.append(StreamEnd(stream, "it is going away", unprocessed=not stream.status))

    def _on_window_update(self, of: Frame) -> None:
        by = frames.number(of) & frames.LARGEST_WINDOW
        self._useless()
        if not of.stream:
            if not self.out.enlarge_window(None, by):
                raise ViolationError(Code.FLOW_CONTROL_ERROR, "its window is wrong")
        else:
            self._require_known(of.stream)
            stream = self.streams.get(of.stream)
            if stream is not None and not self.out.enlarge_window(stream, by):
                self._refuse(of.stream, Code.FLOW_CONTROL_ERROR, "its window is wrong")
        self._allows_more = True

    def _on_priority(self, of: Frame) -> None:
        if not of.stream:
            raise ViolationError(Code.PROTOCOL_ERROR, "its PRIORITY is wrong")
        self._useless()

    def _on_wrong(self, of: Frame) -> None:
        raise ViolationError(Code.PROTOCOL_ERROR, f"it sends a frame of kind {of.kind}, which it must not")
