"""Restate handlers that take late results: called one way over the ingress, and looked up in the admin API."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from kallback.bridge.completers.replies import Accepted, Rejected, Reply, Retry, excerpt_of
from kallback.bridge.restate.client import RestateHttp
from kallback.bridge.restate.requests import HttpAnswer, HttpResult
from kallback.bridge.results.late_policy import LateResult, ToHandler
from kallback.protocol import ConfigurationError, RestateUnavailableError
from kallback.settings import RestateSettings

_CONNECTIONS: Final = 16
_ACCEPTED: Final = frozenset({200, 202})
_REFUSED: Final = frozenset({400, 413})
_NOT_FOUND: Final = 404
_CHECK_TIMEOUT_S: Final = 5.0


class HandlerClient(Protocol):
    """Calls the handlers of a Restate that take late results."""

    async def start(self, wanted: frozenset[ToHandler]) -> None:
        """Get ready to call these.

        Raises:
            ConfigurationError: Restate has no such handler.
        """
        ...

    async def send(self, handler: ToHandler, result: LateResult) -> Reply:
        """Have Restate invoke a handler; failures are replies."""
        ...

    async def stop(self) -> None:
        """Close connections; stopping twice is fine."""
        ...


class IngressHandlerClient:
    """`POST {ingress}/{service}/{handler}/send`."""

    def __init__(self, settings: RestateSettings) -> None:
        self._settings = settings
        self._http = RestateHttp(settings, connections=_CONNECTIONS)

    async def start(self, wanted: frozenset[ToHandler]) -> None:
        """Ask the admin API whether the handlers exist; if it does not answer, the first late result will tell."""
        if not wanted:
            return
        await self._http.start()
        admin = RestateHttp(self._settings, self._settings.admin_url, connections=1)
        await admin.start()
        try:
            for each in sorted(wanted, key=str):
                await _require(admin, each)
        finally:
            await admin.stop()

    async def send(self, handler: ToHandler, result: LateResult) -> Reply:
        """Send it, without waiting for what the handler does."""
        answer: asyncio.Future[HttpResult] = asyncio.get_running_loop().create_future()
        self._http.post_value(
            f"/{handler}/send",
            result.body(),
            content_type="application/json",
            idempotency_key=result.key,
            on_result=lambda it: None if answer.done() else answer.set_result(it),
        )
        return _read(handler, await answer)

    async def stop(self) -> None:
        """Close connections."""
        await self._http.stop()


async def _require(admin: RestateHttp, wanted: ToHandler) -> None:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            answer = await admin.get(f"/services/{wanted.service}/handlers/{wanted.handler}")
    except (TimeoutError, RestateUnavailableError, ConfigurationError):
        return  # many bridges may not reach the admin API
    if answer.status == _NOT_FOUND:
        raise ConfigurationError(
            f"Restate has no handler {wanted} for late results: deploy and register it first, or change --late"
        )


def _read(handler: ToHandler, result: HttpResult) -> Reply:
    if not isinstance(result, HttpAnswer):
        return Retry("unreachable", str(result))
    if result.status in _ACCEPTED:
        return Accepted()
    detail = f"the handler {handler} for late results answers {result.status}: {excerpt_of(result.body)}"
    return Rejected(detail) if result.status in _REFUSED else Retry(str(result.status), detail)
