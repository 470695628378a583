"""HTTP to one address of Restate: what is asked, with the headers of each request; failures are two of our errors.

No redirects, no decompression, no proxy from the environment (which is read in one to only). The pool of connections
belongs to it. Everything runs on one event loop. A request is a value with a callback, which is called exactly once and
never from within `post`. Cancellation: `stop` reports a failure for requests in progress; they may have been processed.
"""

from __future__ import annotations

import asyncio
from typing import Final

from kallback.bridge.restate.authorization import Authorization
from kallback.bridge.restate.origin import origin_of
from kallback.bridge.restate.pool import Pool
from kallback.bridge.restate.requests import HttpAnswer, HttpResult, OnResult, Request
from kallback.bridge.restate.value_codec import ValueCoder, load_codec
from kallback.protocol import RestateUnavailableError
from kallback.settings import HttpVersion, RestateSettings

BODY_LIMIT: Final = 2048
_AGENT: Final = (("user-agent", "kallback-bridge"),)


class RestateHttp:
    """Requests to one address.

    Args:
        url: the address. Default: the ingress.
        connections: maximum number of HTTP/1.1 connections at one time; further requests wait.
        streams: with HTTP/2 the maximum number of requests at one time. Default 0: HTTP/1.1 only.
        body_limit: bytes of an answer's body that are kept.
    """

    def __init__(
        self,
        settings: RestateSettings,
        url: str = "",
        *,
        connections: int = 64,
        streams: int = 0,
        body_limit: int = BODY_LIMIT,
    ) -> None:
        self._settings = settings
        self._url = url or settings.ingress_url
        self.address = "/".join(self._url.split("/", 3)[:3]).rpartition("@")[2]
        self._pool = Pool(
            self.address,
            settings,
            connections=connections,
            streams=streams if settings.http_version is HttpVersion.HTTP_2 else 0,
            body_limit=body_limit,
        )
        self._path = ""
        self._authorization = Authorization(None)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._coder = ValueCoder(None)

    async def start(self) -> None:
        """Get ready; no connection is opened yet.

        Raises:
            ConfigurationError: an address, a CA file, a token or a codec cannot be used.
        """
        self._coder = ValueCoder(await load_codec(self._settings.journal_value_codec))
        origin = origin_of(self._url, self._settings)
        self._authorization = Authorization(self._settings.auth_token)
        self._path = origin.path
        self._pool.start(origin)

    async def stop(self) -> None:
        """Close the connections; stopping twice is fine."""
        await self._pool.stop()
        await self._coder.stop()

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
        headers = (*_AGENT, *self._authorization.headers(), ("content-type", content_type))
        if idempotency_key:
            headers += (("idempotency-key", idempotency_key),)
        if accept:
            headers += (("accept", accept),)
        self._pool.send(Request("POST", self._path + path, headers, body, on_result, self._pool.deadline()))

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
        return await self._request("GET", path)

    async def patch(self, path: str) -> HttpAnswer:
        """Have the admin API change something; raises as `get`."""
        return await self._request("PATCH", path)

    async def _request(self, method: str, path: str) -> HttpAnswer:
        came: asyncio.Future[HttpResult] = asyncio.get_running_loop().create_future()

        def on_result(result: HttpResult) -> None:
            if not came.done():
                came.set_result(result)

        headers = (*_AGENT, *self._authorization.headers())
        self._pool.send(Request(method, self._path + path, headers, b"", on_result, self._pool.deadline()))
        result = await came
        if isinstance(result, HttpAnswer):
            return result
        raise result
