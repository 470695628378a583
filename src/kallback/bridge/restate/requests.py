"""Requests and answers of HTTP, whichever of its versions carries them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from kallback.protocol import ConfigurationError, RestateUnavailableError

Headers = tuple[tuple[str, str], ...]
"""Names in lower case, and values, in their order."""


class HttpAnswer(msgspec.Struct, frozen=True):
    """An answer: the status, Retry-After, and the beginning of the body."""

    status: int
    retry_after: str | None = None
    body: bytes = b""


class HttpTimeoutError(RestateUnavailableError):
    """No complete answer within the timeout."""


class NoHttp2Error(Exception):
    """A server does not begin with SETTINGS.

    Args:
        said_something: it sent bytes of another protocol.
    """

    def __init__(self, *, said_something: bool) -> None:
        super().__init__("it does not speak HTTP/2")
        self.said_something = said_something


HttpResult = HttpAnswer | RestateUnavailableError | ConfigurationError
OnResult = Callable[[HttpResult], None]


class Request(NamedTuple):
    """A request.

    Attributes:
        method: GET, POST or PATCH.
        path: whole, quoted.
        headers: all but the host and the length of the body.
        body: empty for GET and PATCH.
        on_result: called once, later.
        deadline: the loop's time at which it times out.
        repeats: how often it was sent before to a server that did not look at it.
    """

    method: str
    path: str
    headers: Headers
    body: bytes
    on_result: OnResult
    deadline: float
    repeats: int = 0


class Connection(Protocol):
    """A connection, of whichever version of HTTP.

    Attributes:
        deadline: the loop's time at which it times out; where several requests are under way, of its idleness only.
        listed: the owner knows that it has room.
        answered: it has brought an answer.
        used: it has taken a request.
    """

    deadline: float
    listed: bool
    answered: bool
    used: bool

    @property
    def capacity(self) -> int:
        """How many more requests it takes now."""
        ...

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        ...

    def send(self, request: Request) -> None:
        """Send a request; there is room."""
        ...

    def expire(self, now: float) -> None:
        """End what has passed its deadline."""
        ...

    def abort(self, why: str) -> None:
        """Close at once, also with requests under way."""
        ...


class ConnectionOwner(Protocol):
    """Holds connections."""

    address: str
    body_limit: int

    def opened(self, connection: Connection) -> None:
        """It can be used."""
        ...

    def freed(self, connection: Connection) -> None:
        """It has room again."""
        ...

    def dropped(self, connection: Connection) -> None:
        """It takes no more requests; may be called twice."""
        ...

    def closed(self, connection: Connection) -> None:
        """Its socket is closed."""
        ...

    def again(self, request: Request, why: str) -> None:
        """Send a request again that the server has not looked at."""
        ...

    def refused_http2(self) -> None:
        """The server wants HTTP/1.1."""
        ...
