"""Sends late results to Restate handlers over the ingress: accepted by Restate first, then the record is done.

Ownership: each late result is a supervised task, from its submission until Restate has accepted it or it is
dead-lettered; at most `_MAX_CALLS` of them are in a call at one time, the others wait without blocking anything. Order:
none. A result is sent with an idempotency key of task id and attempt, so duplicates and retries make one invocation.
Records with the token of a result that is on its way wait for its end, and share it.
What Restate refuses, or fails for as long as a completion that would be parked, is dead-lettered after all.
Cancellation: `stop` cancels the tasks; their records are not done and are redelivered.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from kallback.bridge.completers.handlers import HandlerClient
from kallback.bridge.completers.replies import Accepted, Rejected, Reply, Retry
from kallback.bridge.context import BridgeContext
from kallback.bridge.in_flight.parking import FailureKind, Parking, RetryBudget
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.bridge.pipeline.settler import Settlement, Settler
from kallback.bridge.results.decide import KnownCopy
from kallback.bridge.results.known_copies import KnownCopies
from kallback.bridge.results.late_policy import HANDLED, LATE, LateResult, ToHandler
from kallback.protocol import Outcome, Token

_MAX_CALLS: Final = 16
_CANCEL_TIMEOUT_S: Final = 2.0


class LateDelivery(msgspec.Struct, frozen=True):
    """A late record, its result, and the handler that it goes to."""

    fetched: FetchedRecord
    result: LateResult
    handler: ToHandler


class LateSender:
    """Sends each late result until Restate has accepted it."""

    def __init__(
        self, handlers: HandlerClient, parking: Parking, settler: Settler, copies: KnownCopies, context: BridgeContext
    ) -> None:
        self._handlers = handlers
        self._parking = parking
        self._settler = settler
        self._copies = copies
        self._context = context
        self._calls = asyncio.Semaphore(_MAX_CALLS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._attached: dict[Token, list[FetchedRecord]] = {}

    async def start(self) -> None:
        """Check the handlers that the policies name."""
        await self._handlers.start(self._context.options.late.handlers())

    async def stop(self) -> None:
        """Cancel what was not accepted; stopping twice is fine."""
        await self._context.supervisor.cancel(self._tasks, _CANCEL_TIMEOUT_S)
        await self._handlers.stop()

    def submit(self, late: LateDelivery) -> None:
        """Send a late result as soon as possible; one whose token is on its way shares what becomes of that one."""
        token = late.result.token
        if token in self._attached:
            self._attached[token].append(late.fetched)
            return
        self._attached[token] = []
        task = self._context.supervisor.run_once("late-result", self._send_until_accepted(late))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_until_accepted(self, late: LateDelivery) -> None:
        budget, failures = RetryBudget(), 0
        while True:
            reply = await self._send(late)
            self._context.stats.late_replies[reply.label] += 1
            if isinstance(reply, Accepted):
                self._settle(late, HANDLED)
                return
            detail = reply.detail if isinstance(reply, Retry | Rejected) else f"not accepted: {reply.label}"
            kind = self._parking.failed(budget, late.fetched, detail)
            if isinstance(reply, Rejected) or kind is FailureKind.EXHAUSTED:
                self._settle(late, LATE, detail)
                return
            failures += 1
            self._context.log.warning("a late result was not accepted: retrying", kind="late", detail=detail)
            await asyncio.sleep(self._delay(reply, failures))

    def _settle(self, late: LateDelivery, reason: str, detail: str = "") -> None:
        token = late.result.token
        if reason == HANDLED:
            self._copies.add_target(KnownCopy(Outcome.LATE, token, HANDLED))
        for fetched in (late.fetched, *self._attached.pop(token)):
            self._settler.settle(Settlement(fetched, Outcome.LATE, token, reason, detail))

    async def _send(self, late: LateDelivery) -> Reply:
        async with self._calls:
            try:
                return await self._handlers.send(late.handler, late.result)
            except Exception as error:  # noqa: BLE001 - a defect must not lose a record
                return Retry("defect", f"sending failed: {type(error).__name__}: {error}")

    def _delay(self, reply: Reply, failures: int) -> float:
        options = self._context.options
        delay = options.backoff.delay(failures, self._context.clocks.random())
        return options.delay_of(delay, reply.after if isinstance(reply, Retry) else None)
