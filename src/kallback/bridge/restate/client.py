"""HTTP to one address of Restate: a bounded pool of keep-alive connections; failures are two of our errors.

HTTP/1.1; no redirects, no decompression, no proxy from the environment (which is read in one to only), no pipelining:
Restate answers the requests of one connection one after the other, so pipelining was slower.

Ownership: the pool owns its connections, a task for each connection that is being opened, the requests that wait for
one, and one timer that looks for passed deadlines. A request is a value with a callback, which is called exactly once
and never from within `post`. Everything runs on one event loop. Order: none between requests. A failed request is not
sent again here: the caller decides that. Cancellation: `stop` reports a failure for requests in progress; they may have
been processed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

from kallback.bridge.restate.authorization import Authorization
from kallback.bridge.restate.connection import Connection, HttpAnswer, HttpResult, HttpTimeoutError, OnResult
from kallback.bridge.restate.value_codec import ValueCoder, load_codec
from kallback.protocol import ConfigurationError, RestateUnavailableError
from kallback.settings import RestateSettings
from kallback.settings.addresses import bracketed
from kallback.settings.followed_tls import FileChanges, FollowedContext

BODY_LIMIT: Final = 2048
_IDLE: Final = 30.0
_SWEEPS: Final = 20
"""Looks per timeout: a request times out at most this part of its time late."""
_LONGEST_SWEEP: Final = 1.0
_SECOND_FAMILY: Final = 0.25
_PATH: Final = "/%:@!$&'()*+,;=-._~"


class _Request(NamedTuple):
    data: bytes
    on_result: OnResult
    deadline: float


class RestateHttp:
    """A pool of connections to one address.

    Args:
        url: the address. Default: the ingress.
        connections: maximum number at one time; further requests wait.
        body_limit: bytes of an answer's body that are kept.
    """

    def __init__(
        self, settings: RestateSettings, url: str = "", *, connections: int = 64, body_limit: int = BODY_LIMIT
    ) -> None:
        self.body_limit = body_limit
        self._settings = settings
        self._url = url or settings.ingress_url
        self.address = "/".join(self._url.split("/", 3)[:3]).rpartition("@")[2]
        self._limit = connections
        self._origin = _Origin("", 0, "", "", None)
        self._authorization = Authorization(None)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[_Request] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._coder = ValueCoder(None)

    async def start(self) -> None:
        """Get ready; no connection is opened yet.

        Raises:
            ConfigurationError: an address, a CA file, a token or a codec cannot be used.
        """
        self._coder = ValueCoder(await load_codec(self._settings.journal_value_codec))
        self._origin = _origin_of(self._url, self._settings)
        self._authorization = Authorization(self._settings.auth_token)
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Close the connections; stopping twice is fine."""
        self._loop = None
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        await self._coder.stop()
        while self._waiting:
            self._waiting.popleft().on_result(self._stopped())
        while self._open:
            for connection in tuple(self._open):
                connection.abort("it is being closed")
            await asyncio.sleep(0)

    def post(
        self,
        path: str,
        body: bytes,
        *,
        content_type: str,
        on_result: OnResult,
        idempotency_key: str = "",
        accept: str = "",
    ) -> None:
        """Post bytes to a path under the address; `on_result` is called once, later, with the answer or the error."""
        to = self._origin
        login = self._authorization.header()
        head = f"POST {to.path}{path} HTTP/1.1\r\n{to.headers}{login}content-type: {content_type}\r\n"
        if idempotency_key:
            head += f"idempotency-key: {idempotency_key}\r\n"
        if accept:
            head += f"accept: {accept}\r\n"
        self._send(b"%bcontent-length: %d\r\n\r\n%b" % (head.encode(), len(body), body), on_result)

    def post_value(
        self,
        path: str,
        value: bytes,
        *,
        content_type: str,
        on_result: OnResult,
        idempotency_key: str = "",
        returns_value: bool = False,
    ) -> None:
        """Post what an application's journal keeps: a result of an awakeable, the input of a handler.

        It is encoded if the application has a codec. With `returns_value` the answer is what the handler returned, and
        is decoded.
        """
        try:
            body = self._coder.encode(value)
        except RestateUnavailableError as error:
            asyncio.get_running_loop().call_soon(on_result, error)
            return
        if returns_value:
            on_result = self._coder.decoding(on_result)
        self.post(path, body, content_type=content_type, on_result=on_result, idempotency_key=idempotency_key)

    async def get_value(self, path: str) -> HttpAnswer:
        """Call a handler without input, and get what it returns, as `get`."""
        return await self._coder.decoded(await self.get(path))

    async def get(self, path: str) -> HttpAnswer:
        """Get a small document.

        Raises:
            RestateUnavailableError: no usable answer; a retry may help.
            ConfigurationError: the certificate is not trusted.
        """
        came: asyncio.Future[HttpResult] = asyncio.get_running_loop().create_future()
        to = self._origin
        head = f"GET {to.path}{path} HTTP/1.1\r\n{to.headers}{self._authorization.header()}\r\n"
        self._send(head.encode(), lambda result: None if came.done() else came.set_result(result))
        result = await came
        if isinstance(result, HttpAnswer):
            return result
        raise result

    def _send(self, data: bytes, on_result: OnResult) -> None:
        loop = self._loop
        if loop is None:
            asyncio.get_running_loop().call_soon(on_result, self._stopped())
            return
        deadline = loop.time() + self._settings.request_timeout
        if self._idle:
            self._idle.pop().send(data, on_result, deadline)
        else:
            self._waiting.append(_Request(data, on_result, deadline))
            self._connect()
        if self._sweeper is None:
            self._arm(loop)

    def _connect(self) -> None:
        opening, held = self._opening, self._open
        while self._loop is not None and len(opening) < len(self._waiting) and len(held) + len(opening) < self._limit:
            task = self._loop.create_task(self._connect_one(), name="kallback-bridge-connect")
            opening.add(task)
            task.add_done_callback(self._connected)

    async def _connect_one(self) -> None:
        to = self._origin
        loop = asyncio.get_running_loop()
        failure: RestateUnavailableError | ConfigurationError
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                await loop.create_connection(
                    lambda: Connection(self),
                    to.host,
                    to.port,
                    ssl=to.tls,
                    happy_eyeballs_delay=_SECOND_FAMILY,
                )
        except TimeoutError:
            failure = HttpTimeoutError(f"{self.address} does not accept the connection in time")
        except ssl.SSLCertVerificationError as error:
            failure = _untrusted(self.address, error.verify_message or str(error))
        except OSError as error:
            failure = RestateUnavailableError(f"{self.address} cannot be reached ({error.strerror or error})")
        except Exception as error:  # noqa: BLE001 - a defect must not leave a request without an answer
            failure = RestateUnavailableError(f"connecting to {self.address} failed: {type(error).__name__}: {error}")
        else:
            return
        if self._waiting:
            self._waiting.popleft().on_result(failure)

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._connect()

    # What connections report.

    def opened(self, connection: Connection) -> None:
        """A connection can be used."""
        self._open.add(connection)
        self.freed(connection)

    def freed(self, connection: Connection) -> None:
        """Give it the next request."""
        if self._waiting:
            connection.send(*self._waiting.popleft())
        elif self._loop is not None:
            connection.deadline = self._loop.time() + _IDLE
            self._idle.append(connection)

    def dropped(self, connection: Connection) -> None:
        """A connection must not be used any more."""
        if connection in self._idle:
            self._idle.remove(connection)

    def closed(self, connection: Connection) -> None:
        """A connection is closed."""
        self._open.discard(connection)
        self._connect()

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        pause = min(_LONGEST_SWEEP, self._settings.request_timeout / _SWEEPS)
        self._sweeper = loop.call_later(pause, self._sweep, loop)

    def _arm_if_needed(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._sweeper is None and self._loop is not None and (self._open or self._waiting):
            self._arm(loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._sweeper = None
        try:
            for connection in [each for each in self._open if each.deadline <= now]:
                connection.expire()
            while self._waiting and self._waiting[0].deadline <= now:
                self._waiting.popleft().on_result(HttpTimeoutError(f"{self.address} has no connection free in time"))
        finally:  # whatever a callback does, later requests must time out, too
            self._arm_if_needed(loop)

    def _stopped(self) -> RestateUnavailableError:
        return RestateUnavailableError(f"the connections to {self.address} are closed: start them first")


class _Origin(NamedTuple):
    host: str
    port: int
    path: str
    headers: str
    tls: ssl.SSLContext | None


def _origin_of(url: str, settings: RestateSettings) -> _Origin:
    address = urlsplit(url)
    secure = address.scheme == "https"
    try:
        host = (address.hostname or "").encode("ascii" if ":" in (address.hostname or "") else "idna").decode()
        port = address.port or (443 if secure else 80)
    except ValueError:  # UnicodeError is one
        host, port = "", 0
    if not host or address.username is not None:
        raise ConfigurationError(
            f"the address of Restate at {address.netloc.rpartition('@')[2]!r} cannot be used: set "
            "KALLBACK_RESTATE_INGRESS_URL to something like http://localhost:8080, with no user or password in it "
            "(a token belongs into KALLBACK_RESTATE_AUTH_TOKEN)"
        )
    shown = bracketed(host)
    headers = f"host: {shown if address.port is None else f'{shown}:{port}'}\r\nuser-agent: kallback-bridge\r\n"
    tls = _tls(settings) if secure or settings.ca_file is not None else None
    path = quote(address.path, safe=_PATH).rstrip("/")
    return _Origin(host, port, path, headers, tls if secure else None)


def _tls(settings: RestateSettings) -> ssl.SSLContext:
    if settings.ca_file is None:
        return _context(settings)
    return FollowedContext(lambda: _context(settings), FileChanges([settings.ca_file]))


def _context(settings: RestateSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(
            f"{settings.ca_file} holds no certificates ({error.strerror or error}): set KALLBACK_RESTATE_CA_FILE to a "
            "PEM file"
        ) from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def _untrusted(address: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the certificate of {address} is not trusted ({why}): set KALLBACK_RESTATE_CA_FILE to the PEM file of the "
        "authority that signed it"
    )
