"""Streams of one connection: a request that was sent, and what came back."""

from __future__ import annotations

from typing import NamedTuple

from kallback.bridge.restate.requests import Request


class Stream:
    """A request that was sent, and what came back."""

    __slots__ = ("body", "received", "request", "retry_after", "size", "status", "unsent", "window")

    def __init__(self, request: Request, window: int) -> None:
        self.request = request
        self.status = self.received = self.size = 0
        self.retry_after: str | None = None
        self.body: list[bytes] = []
        self.unsent: memoryview | None = None
        self.window = window


class StreamEnd(NamedTuple):
    """A stream that has ended.

    Attributes:
        stream: its status is 0 if there was no answer.
        failure: why there is no answer.
        unprocessed: the server has not looked at the request, it may be sent again.
    """

    stream: Stream
    failure: str = ""
    unprocessed: bool = False
