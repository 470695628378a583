"""HTTP to Restate over pyreqwest: the one file that knows the client.

HTTP/1.1 with a keep-alive pool; no redirects, no decompression, no proxy from the environment (that is read in one
place only). Answers are streamed and at most `BODY_LIMIT` bytes of a body are read: whoever answers may be anybody.
All of the client's errors become two of ours: try again, or fix a setting.
"""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import Final

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError
from pyreqwest.response import Response

from kallback.protocol import ConfigurationError, RestateUnavailableError
from kallback.settings import RestateSettings

BODY_LIMIT: Final = 2048
_IDLE: Final = timedelta(seconds=30)
_NO_BODY: Final = 202


class HttpAnswer(msgspec.Struct, frozen=True):
    """What came back: the status, Retry-After, and the beginning of the body."""

    status: int
    retry_after: str | None = None
    body: bytes = b""


class HttpTimeoutError(RestateUnavailableError):
    """No whole answer within the time-out."""


class RestateHttp:
    """A pool of connections to one Restate."""

    def __init__(self, settings: RestateSettings) -> None:
        self._settings = settings
        self._client: Client | None = None

    async def start(self) -> None:
        """Build the pool; nothing is connected yet.

        Raises:
            ConfigurationError: an authorities file or a token that cannot be used.
        """
        if self._client is None:
            self._client = _build(self._settings)

    async def stop(self) -> None:
        """Close the connections; stopping twice is fine."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def post(self, url: str, body: bytes, *, content_type: str) -> HttpAnswer:
        """Post bytes.

        Raises:
            RestateUnavailableError: no usable answer; trying again may help.
            ConfigurationError: the certificate is not one that we trust.
        """
        try:
            request = self._running().post(url).header("content-type", content_type).body_bytes(body).build_streamed()
            async with request as response:
                return await _read(response)
        except PyreqwestError as error:
            raise _mapped(error, url) from None

    async def get(self, url: str) -> HttpAnswer:
        """Get a small document; raises as `post`."""
        try:
            async with self._running().get(url).build_streamed() as response:
                return await _read(response)
        except PyreqwestError as error:
            raise _mapped(error, url) from None

    def _running(self) -> Client:
        if self._client is None:
            raise RestateUnavailableError("the connections to Restate are closed: start them first")
        return self._client


async def _read(response: Response) -> HttpAnswer:
    status = response.status
    if status == _NO_BODY:
        return HttpAnswer(status)
    retry_after = response.get_header("retry-after")
    try:
        body = await response.body_reader.read(BODY_LIMIT)
    except PyreqwestError:  # the status says what matters
        body = None
    return HttpAnswer(status, retry_after, b"" if body is None else bytes(body)[:BODY_LIMIT])


def _mapped(error: PyreqwestError, url: str) -> RestateUnavailableError | ConfigurationError:
    address = "/".join(url.split("/", 3)[:3])
    causes = (error.details["causes"] if isinstance(error, DetailedPyreqwestError) else None) or []
    why = causes[-1]["message"] if causes else error.message
    if "peer certificate" in why:
        return ConfigurationError(
            f"the certificate of {address} is not trusted ({why}): set KALLBACK_RESTATE_CA_FILE to the PEM file of the "
            "authority that signed it"
        )
    if isinstance(error, TimeoutError):
        return HttpTimeoutError(f"{address} gives no answer in time ({why})")
    return RestateUnavailableError(f"{address} gives no usable answer ({why})")


def _build(settings: RestateSettings) -> Client:
    builder = (
        ClientBuilder()
        .http1_only()
        .no_proxy()
        .follow_redirects(enable=False)
        .referer(enable=False)
        .gzip(enable=False)
        .brotli(enable=False)
        .zstd(enable=False)
        .deflate(enable=False)
        .user_agent("kallback-bridge")
        .timeout(timedelta(seconds=settings.request_timeout))
        .connect_timeout(timedelta(seconds=settings.connect_timeout))
        .pool_idle_timeout(_IDLE)
    )
    if settings.ca_file is not None:
        builder = builder.add_root_certificate_pem(_authorities(settings))
    if settings.auth_token is not None:
        builder = _with_token(builder, settings.auth_token.reveal())
    return builder.build()


def _with_token(builder: ClientBuilder, token: str) -> ClientBuilder:
    try:
        return builder.default_headers({"authorization": f"Bearer {token}"})
    except ValueError:  # its message holds the token
        raise ConfigurationError(
            "KALLBACK_RESTATE_AUTH_TOKEN holds characters that no HTTP header may have (a line break?): set it anew"
        ) from None


def _authorities(settings: RestateSettings) -> bytes:
    """The PEM file's bytes; checked, because the client ignores what it cannot read."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=settings.ca_file)
        return settings.ca_file.read_bytes() if settings.ca_file is not None else b""
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(
            f"{settings.ca_file} holds no certificates ({error.strerror or error}): set KALLBACK_RESTATE_CA_FILE to a "
            "PEM file"
        ) from None
