"""Hands late results to Restate handlers, over the ingress: accepted by Restate first, then the offset is done.

Who owns what: each late result is a task, from its submission until Restate has taken it or it is given up; at most
`_CALLS` of them are in a call at one time, the others wait for their next attempt without holding anybody up.

Sent with an idempotency key of task id and attempt, so duplicates and retries make one invocation. What is refused for
good, or passed over for so long that a completion would be parked, becomes a dead letter after all.

Cancel: stopping cancels the tasks. Their records are not done and come again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from kallback.bridge.completers.replies import Accepted, Rejected, Reply, Retry, said_in
from kallback.bridge.context import BridgeContext
from kallback.bridge.in_flight.deliveries import FailureKind, FetchedRecord, RetryBudget
from kallback.bridge.in_flight.parking import Parking
from kallback.bridge.pipeline.settler import Settlement
from kallback.bridge.restate.client import RestateHttp
from kallback.bridge.restate.connection import HttpAnswer, HttpResult
from kallback.bridge.results.late_policy import HANDLED, LATE, LateResult, ToHandler
from kallback.protocol import ConfigurationError, Outcome, RestateUnavailableError
from kallback.settings import RestateSettings

_CALLS: Final = 16
_TAKEN: Final = frozenset({200, 202})
_REFUSED: Final = frozenset({400, 413})
_FOUND: Final = 200
_UNKNOWN: Final = 404
_LOOK: Final = 5.0


class HandlerClient(Protocol):
    """The handlers of a Restate, as far as late results go."""

    async def start(self, wanted: frozenset[ToHandler]) -> None:
        """Get ready to call these.

        Raises:
            ConfigurationError: Restate says that it has no such handler.
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
        self._http = RestateHttp(settings, connections=_CALLS)

    async def start(self, wanted: frozenset[ToHandler]) -> None:
        """Ask the admin API whether the handlers exist; one that does not answer is a matter for later."""
        if not wanted:
            return
        await self._http.start()
        admin = RestateHttp(self._settings, self._settings.admin_url, connections=1)
        await admin.start()
        try:
            for each in sorted(wanted, key=str):
                await _look_for(admin, each)
        finally:
            await admin.stop()

    async def send(self, handler: ToHandler, result: LateResult) -> Reply:
        """Send it, without waiting for what the handler does."""
        came: asyncio.Future[HttpResult] = asyncio.get_running_loop().create_future()
        self._http.post(
            f"/{handler}/send",
            result.body(),
            content_type="application/json",
            idempotency_key=result.key,
            told=lambda it: None if came.done() else came.set_result(it),
        )
        return _read(handler, await came)

    async def stop(self) -> None:
        """Close connections."""
        await self._http.stop()


async def _look_for(admin: RestateHttp, wanted: ToHandler) -> None:
    try:
        async with asyncio.timeout(_LOOK):
            answer = await admin.get(f"/services/{wanted.service}/handlers/{wanted.handler}")
    except (TimeoutError, RestateUnavailableError, ConfigurationError):
        return  # the admin API is not for every bridge to reach; the first late result will tell
    if answer.status == _UNKNOWN:
        raise ConfigurationError(
            f"Restate has no handler {wanted}, to which late results are to go: deploy and register it first, or "
            "mend --late"
        )


def _read(handler: ToHandler, result: HttpResult) -> Reply:
    if not isinstance(result, HttpAnswer):
        return Retry("unreachable", str(result))
    if result.status in _TAKEN:
        return Accepted()
    detail = f"the handler {handler} for late results answers {result.status}: {said_in(result.body)}"
    return Rejected(detail) if result.status in _REFUSED else Retry(str(result.status), detail)


class LateDelivery(msgspec.Struct, frozen=True):
    """A late record, its result, and where that goes."""

    fetched: FetchedRecord
    result: LateResult
    handler: ToHandler


class LateSender:
    """Hands late results over until Restate has taken each.

    Args:
        settle: told how each ended.
    """

    def __init__(
        self, handlers: HandlerClient, parking: Parking, settle: Callable[[Settlement], None], *, context: BridgeContext
    ) -> None:
        self._handlers = handlers
        self._parking = parking
        self._settle = settle
        self._context = context
        self._calls = asyncio.Semaphore(_CALLS)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Look for the handlers that the policies name."""
        await self._handlers.start(self._context.options.late.handlers())

    async def stop(self) -> None:
        """Cancel what was not taken; stopping twice is fine."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._handlers.stop()

    def submit(self, late: LateDelivery) -> None:
        """Hand this one over as soon as possible."""
        task = asyncio.get_running_loop().create_task(self._insist(late), name="kallback-bridge-late")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _insist(self, late: LateDelivery) -> None:
        patience, failures = RetryBudget(), 0
        while True:
            reply = await self._ask(lambda: self._handlers.send(late.handler, late.result))
            self._context.stats.late_replies[reply.label] += 1
            if isinstance(reply, Accepted):
                self._settle(Settlement(late.fetched, Outcome.LATE, late.result.token, HANDLED))
                return
            detail = reply.detail if isinstance(reply, Retry | Rejected) else f"not taken: {reply.label}"
            if isinstance(reply, Rejected) or self._is_exhausted(patience, late.fetched, detail):
                self._settle(Settlement(late.fetched, Outcome.LATE, late.result.token, LATE, detail))
                return
            failures += 1
            self._context.log.warning("a late result was not taken, trying again", kind="late", detail=detail)
            await asyncio.sleep(self._pause(reply, failures))

    def _is_exhausted(self, patience: RetryBudget, fetched: FetchedRecord, detail: str) -> bool:
        return self._parking.failed(patience, fetched, detail) is FailureKind.EXHAUSTED

    async def _ask(self, send: Callable[[], Awaitable[Reply]]) -> Reply:
        async with self._calls:
            try:
                return await send()
            except Exception as error:  # noqa: BLE001 - a defect must not lose a record in silence
                return Retry("defect", f"handing over failed: {type(error).__name__}: {error}")

    def _pause(self, reply: Reply, failures: int) -> float:
        options = self._context.options
        delay = options.backoff.delay(failures, self._context.clocks.random())
        return options.heed(delay, reply.after if isinstance(reply, Retry) else None)
