"""A bounded pool of connections to one origin, of HTTP/1.1 or HTTP/2.

Over HTTP/1.1 each connection carries one request at a time: Restate answers the requests of one connection one after
the other, so pipelining was slower. Over HTTP/2 a few connections carry many (`HTTP2_CONNECTIONS`): more than one,
because a connection is one task in Restate, and few, because what one read brings leads to one write.

Ownership: the pool owns its connections, a task for each connection that is being opened, the requests that wait for
one, and one timer that looks for passed deadlines. Order: none between requests. A failed request is not sent again
here, the caller decides that; but one that a server has not looked at, as it says, is (`again`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import Final

from kallback.bridge.restate.http2.header_blocks import RequestHeads
from kallback.bridge.restate.opening import Opening
from kallback.bridge.restate.origin import NOWHERE, Origin, untrusted
from kallback.bridge.restate.requests import Connection, HttpTimeoutError, NoHttp2Error, Request
from kallback.bridge.restate.versions import Versions
from kallback.protocol import ConfigurationError, RestateUnavailableError
from kallback.settings import RestateSettings, named_log

HTTP2_CONNECTIONS: Final = 2
_IDLE: Final = 30.0
_SWEEPS: Final = 20
"""Looks per timeout: a request times out at most this part of its time late."""
_LONGEST_SWEEP: Final = 1.0
_SECOND_FAMILY: Final = 0.25
_REPEATS: Final = 2
_log: Final = named_log("kallback.bridge")


class Pool:
    """Connections to one origin.

    Args:
        address: of the origin, for sentences.
        connections: maximum number of HTTP/1.1 connections.
        streams: maximum number of requests at one time over HTTP/2; 0: HTTP/1.1 only.
        body_limit: bytes of an answer's body that are kept.
    """

    def __init__(
        self, address: str, settings: RestateSettings, *, connections: int, streams: int, body_limit: int
    ) -> None:
        self.address = address
        self.body_limit = body_limit
        self._settings = settings
        self._limit = connections
        self._streams = -(-streams // HTTP2_CONNECTIONS)
        self._versions = Versions(http2=streams > 0)
        self._origin = NOWHERE
        self._heads = RequestHeads("", secure=False)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: set[Connection] = set()
        self._retired: set[Connection] = set()
        self._free: list[Connection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[Request] = deque()
        self._sweeper: asyncio.TimerHandle | None = None

    def start(self, origin: Origin) -> None:
        """Get ready; no connection is opened yet."""
        self._origin = origin
        self._heads = RequestHeads(origin.authority, secure=origin.tls is not None)
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
        while self._waiting:
            self._waiting.popleft().on_result(self._stopped())
        while self._open or self._retired:
            for connection in (*self._open, *self._retired):
                connection.abort("it is being closed")
            await asyncio.sleep(0)

    def deadline(self) -> float:
        """Return when a request of now times out."""
        return self._loop.time() + self._settings.request_timeout if self._loop is not None else 0.0

    def send(self, request: Request) -> None:
        """Send a request as soon as a connection has room; never calls back at once."""
        loop = self._loop
        if loop is None:
            asyncio.get_running_loop().call_soon(request.on_result, self._stopped())
            return
        connection = self._first_free()
        if connection is not None:
            connection.send(request)
        else:
            self._waiting.append(request)
            self._connect()
        if self._sweeper is None:
            self._arm(loop)

    def _first_free(self) -> Connection | None:
        """Return the connection that was last known to have room: few that are busy save reads and writes."""
        free = self._free
        while free:
            connection = free[-1]
            if connection.capacity:
                return connection
            free.pop().listed = False
        return None

    def _connect(self) -> None:
        each, most = (self._streams, HTTP2_CONNECTIONS) if self._versions.http2 else (1, self._limit)
        opening, held, retired = self._opening, self._open, self._retired
        while (
            self._loop is not None
            and len(opening) * each < len(self._waiting)
            and len(held) + len(opening) < most
            and len(held) + len(opening) + len(retired) < max(most, self._limit)
        ):
            task = self._loop.create_task(self._connect_one(), name="kallback-bridge-connect")
            opening.add(task)
            task.add_done_callback(self._connected)

    async def _connect_one(self) -> None:
        to = self._origin
        opening = Opening(self, to.authority, self._heads, http2=self._versions.http2, streams=self._streams)
        try:
            failure = await self._open_one(opening)
        except NoHttp2Error as error:
            if error.said_something:
                self.refused_http2()
                return
            if self._versions.said_nothing():
                return
            failure = RestateUnavailableError(f"{self.address} closes new connections")
        finally:
            opening.end()
        if failure is None:
            self._learn(opening)
            return
        self._versions.failed()
        if self._waiting:
            self._waiting.popleft().on_result(failure)

    async def _open_one(self, opening: Opening) -> RestateUnavailableError | ConfigurationError | None:
        """Connect, and return what went wrong.

        Raises:
            NoHttp2Error: the server does not begin as HTTP/2 does, or not in time.
        """
        to = self._origin
        tls = to.tls_for_http2 if opening.over_http2 else to.tls
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                await asyncio.get_running_loop().create_connection(
                    lambda: opening, to.host, to.port, ssl=tls, happy_eyeballs_delay=_SECOND_FAMILY
                )
                await opening.ready
        except TimeoutError:
            if opening.connected:
                raise NoHttp2Error(said_something=False) from None
            return HttpTimeoutError(f"{self.address} does not accept the connection in time")
        except ssl.SSLCertVerificationError as error:
            return untrusted(self.address, error)
        except OSError as error:
            why = error.strerror or str(error) or type(error).__name__  # one that is reset says nothing under TLS
            return RestateUnavailableError(f"{self.address} cannot be reached ({why})")
        except NoHttp2Error:
            raise
        except Exception as error:  # noqa: BLE001 - a defect must not leave a request without an answer
            return RestateUnavailableError(f"connecting to {self.address} failed: {type(error).__name__}: {error}")
        return None

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._connect()

    def _learn(self, opened: Opening) -> None:
        if opened.over_http2:
            self._versions.speaks_http2()
        elif self._origin.tls is not None and self._versions.http2:  # it was asked
            self.refused_http2()

    # What connections report.

    def opened(self, connection: Connection) -> None:
        """A connection can be used."""
        self._open.add(connection)
        self.freed(connection)

    def freed(self, connection: Connection) -> None:
        """Give it the next requests."""
        if connection.answered and not self._versions.settled:
            self.refused_http2()
        while self._waiting and connection.capacity:
            connection.send(self._waiting.popleft())
        if connection.capacity and self._loop is not None:
            if not connection.busy:
                connection.deadline = self._loop.time() + _IDLE
            if not connection.listed:
                connection.listed = True
                self._free.append(connection)

    def dropped(self, connection: Connection) -> None:
        """A connection must not be used any more."""
        if connection.listed:
            connection.listed = False
            self._free.remove(connection)
        if connection in self._open:
            self._open.remove(connection)
            self._retired.add(connection)
            if connection.used:  # its requests may take long to end, and others wait
                self._connect()

    def closed(self, connection: Connection) -> None:
        """A connection is closed."""
        self.dropped(connection)
        if connection in self._retired:  # else it was never ready
            self._retired.remove(connection)
            if not connection.answered:
                self._versions.failed()
            elif not self._versions.settled:
                self.refused_http2()
            if not connection.used and self._waiting:  # else new connections would follow each other without a pause
                failure = RestateUnavailableError(f"{self.address} closes new connections")
                self._waiting.popleft().on_result(failure)
        self._connect()

    def again(self, request: Request, why: str) -> None:
        """Send a request again that the server has not looked at, for a few times."""
        if request.repeats < _REPEATS and self._loop is not None:
            self.send(request._replace(repeats=request.repeats + 1))
        else:
            request.on_result(RestateUnavailableError(f"{self.address} does not take the request ({why})"))

    def refused_http2(self) -> None:
        """The server wants HTTP/1.1: so be it from now on."""
        if self._versions.refused_http2():
            _log.info("Restate's ingress does not speak HTTP/2, so HTTP/1.1 is used", address=self.address)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        pause = min(_LONGEST_SWEEP, self._settings.request_timeout / _SWEEPS)
        self._sweeper = loop.call_later(pause, self._sweep, loop)

    def _arm_if_needed(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._sweeper is None and self._loop is not None and (self._open or self._retired or self._waiting):
            self._arm(loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._sweeper = None
        try:
            for connection in (*self._open, *self._retired):
                connection.expire(now)
            late = [each for each in self._waiting if each.deadline <= now]
            if late:
                self._waiting = deque(each for each in self._waiting if each.deadline > now)
            for request in late:
                request.on_result(HttpTimeoutError(f"{self.address} has no connection free in time"))
        finally:  # whatever a callback does, later requests must time out, too
            self._arm_if_needed(loop)

    def _stopped(self) -> RestateUnavailableError:
        return RestateUnavailableError(f"the connections to {self.address} are closed: start them first")
