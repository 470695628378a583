"""Asks Restate's introspection: SQL over HTTP at its admin address, JSON back. It also removes invocations.

Answers are bounded: of one answer at most `ANSWER_BYTES` are kept in memory, and a larger one is `AnswerTooLargeError`,
so that the caller asks for less. Restate scans all of a table unless rows are named by invocation id, so callers do.

A query may take as long as the request timeout. While one waits, Restate is asked for its health page every few
seconds, so that a Restate that accepts connections and does not answer is noticed in 10 seconds.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol, Self, TypeVar
from urllib.parse import quote

import msgspec

from kallback.bridge.restate.client import RestateHttp
from kallback.bridge.restate.requests import HttpAnswer, HttpResult
from kallback.operations.deployments import Deployment, DeploymentList
from kallback.protocol import (
    AccessDeniedError,
    ConfigurationError,
    KallbackError,
    RestateUnavailableError,
    UnsupportedServerError,
)
from kallback.settings import RestateSettings

ANSWER_BYTES: Final = 64 * 1024 * 1024
_CONNECTIONS: Final = 4
_HEALTH: Final = "/health"
_HEALTH_INTERVAL_S: Final = 5.0
_HEALTH_TIMEOUT_S: Final = 4.0
_JSON: Final = "application/json"
_OK: Final = 200
_ENDED: Final = frozenset({200, 202, 204, 404, 409})
_OVERLOADED: Final = 429
_DENIED: Final = frozenset({401, 403})
_MISSING: Final = frozenset({404, 405, 406, 415})
_SHOWN: Final = 300
_BAD_PATH: Final = "bad path"
"""In the answer of Restate's ingress to a path of the admin API; its status is 400."""
_BEGINNING: Final = b'{"rows":'
_END: Final = b"]}"

Row = TypeVar("Row")
Answer = TypeVar("Answer")


class AnswerTooLargeError(KallbackError):
    """An answer is larger than what is kept in memory; ask for fewer rows."""


class AnswerCutOffError(RestateUnavailableError):
    """An answer ended in the middle: Restate gave the query up, or it took too long. A smaller one may succeed."""


class _Rows(msgspec.Struct):
    rows: msgspec.Raw


class _QueryRefusal(msgspec.Struct):
    message: str = ""


class RowSource(Protocol):
    """Answers SQL queries; a test has another one."""

    async def rows(self, sql: str, kind: type[Row]) -> list[Row]:
        """Return the rows of a query; raises as `Introspection.rows`."""
        ...


class Introspection:
    """SQL queries to one Restate. Start it before, stop it after; it keeps a few connections."""

    def __init__(self, settings: RestateSettings) -> None:
        self._http = RestateHttp(settings, settings.admin_url, connections=_CONNECTIONS, body_limit=ANSWER_BYTES)
        self._health = RestateHttp(settings, settings.admin_url, connections=1)
        self.url: Final = settings.admin_url

    async def __aenter__(self) -> Self:
        """Get ready.

        Raises:
            ConfigurationError: an address, a CA file or a token cannot be used.
        """
        await self._http.start()
        await self._health.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._health.stop()
        await self._http.stop()

    async def rows(self, sql: str, kind: type[Row]) -> list[Row]:
        """Return the rows of a query.

        Args:
            sql: the query.
            kind: a struct with the columns that it selects.

        Raises:
            AnswerTooLargeError: ask for fewer rows.
            AnswerCutOffError: ask again, better for fewer rows.
            RestateUnavailableError: no answer, or one that says that Restate is busy; a retry may help.
            AccessDeniedError: Restate, or what is in front of it, wants a token.
            UnsupportedServerError: this server has no such tables.
            ConfigurationError: something else answers at the address.
        """
        answer = await self._ask(msgspec.json.encode({"query": sql}))
        if answer.status != _OK:
            raise self._refused(answer)
        if len(answer.body) >= ANSWER_BYTES:
            raise AnswerTooLargeError(f"Restate's answer is larger than {ANSWER_BYTES} bytes")
        try:
            return msgspec.json.decode(msgspec.json.decode(answer.body, type=_Rows).rows, type=list[kind])  # type: ignore[valid-type]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if answer.body.startswith(_BEGINNING) and not answer.body.endswith(_END):
                raise AnswerCutOffError(
                    "Restate's answer to a query ended in the middle: try again, or raise "
                    "KALLBACK_RESTATE_REQUEST_TIMEOUT"
                ) from None
            raise ConfigurationError(
                f"{self.url} does not answer like Restate's admin API ({error}): correct KALLBACK_RESTATE_ADMIN_URL"
            ) from None

    async def deployments(self) -> list[Deployment]:
        """Return what is registered; raises as `rows`, but for `AnswerTooLargeError`."""
        answer = await self._while_healthy(asyncio.ensure_future(self._http.get("/deployments")))
        if answer.status != _OK:
            raise self._refused(answer)
        try:
            return msgspec.json.decode(answer.body, type=DeploymentList).deployments
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigurationError(
                f"{self.url} does not answer like Restate's admin API ({error}): correct KALLBACK_RESTATE_ADMIN_URL"
            ) from None

    async def kill(self, invocation_id: str) -> None:
        """End an invocation without asking its handler; one that has ended is no error. Raises as `deployments`."""
        path = f"/invocations/{quote(invocation_id)}/kill"
        answer = await self._while_healthy(asyncio.ensure_future(self._http.patch(path)))
        if answer.status not in _ENDED:
            raise self._refused(answer)

    async def _ask(self, body: bytes) -> HttpAnswer:
        came: asyncio.Future[HttpResult] = asyncio.get_running_loop().create_future()

        def answered(result: HttpResult) -> None:
            if not came.done():
                came.set_result(result)

        self._http.post("/query", body, content_type=_JSON, accept=_JSON, on_result=answered)
        result = await self._while_healthy(came)
        if isinstance(result, RestateUnavailableError):
            raise RestateUnavailableError(
                f"{result}: check that Restate runs and that KALLBACK_RESTATE_ADMIN_URL names its admin API"
            )
        if isinstance(result, ConfigurationError):
            raise result
        return result

    async def _while_healthy(self, answer: asyncio.Future[Answer]) -> Answer:
        """Wait for an answer as long as Restate answers its health page, too; one that comes meanwhile counts."""
        health = asyncio.ensure_future(self._until_unhealthy())
        either: tuple[asyncio.Future[Any], ...] = answer, health
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                await health
            return answer.result()
        finally:
            answer.cancel()
            health.cancel()
            await asyncio.gather(health, return_exceptions=True)

    async def _until_unhealthy(self) -> None:
        while True:
            await asyncio.sleep(_HEALTH_INTERVAL_S)
            await self._check_health()

    async def _check_health(self) -> None:
        try:
            async with asyncio.timeout(_HEALTH_TIMEOUT_S):
                await self._health.get(_HEALTH)
        except (TimeoutError, RestateUnavailableError):
            raise RestateUnavailableError(
                f"{self.url} accepts connections and does not answer: check that Restate runs and is not overloaded"
            ) from None

    def _refused(self, answer: HttpAnswer) -> KallbackError:
        message = _message(answer.body)
        if answer.status in _DENIED:
            return AccessDeniedError(
                f"{self.url} answers {answer.status}: set KALLBACK_RESTATE_AUTH_TOKEN to a token that has access"
            )
        if answer.status == _OVERLOADED:
            return RestateUnavailableError(
                f"Restate answers no more queries for now ({answer.status}): try again in a few seconds, or less often"
            )
        if answer.status in _MISSING or _BAD_PATH in message:
            return ConfigurationError(
                f"{self.url} has no introspection ({answer.status}): set KALLBACK_RESTATE_ADMIN_URL to the address of "
                "Restate's admin API (port 9070 by default, not the ingress)"
            )
        if "not found" in message or "No field named" in message:
            return UnsupportedServerError(
                f"Restate at {self.url} does not know what is asked for ({message}): upgrade it to 1.7.0 or later"
            )
        return RestateUnavailableError(f"Restate refuses a query ({answer.status}: {message}): try again later")


def _message(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_QueryRefusal).message[:_SHOWN]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "no reason given"
