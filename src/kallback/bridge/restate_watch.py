"""Checks Restate when a bridge starts, until its ingress answers, and again after each outage.

A bridge starts without its Restate: results wait in Kafka. But until Restate has answered once, nothing shows that the
settings are right, so the bridge is not ready, and a roll-out does not replace bridges that work by one that cannot.
An answer is that of the ingress's health page, a service's own, or that a result is delivered: a proxy may let pass the
paths of awakeables and services only.

Ownership: one task on the event loop of the bridge, while there is no answer. Cancellation: nothing is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from kallback.bridge.context import BridgeContext
from kallback.protocol import ConfigurationError, Outcome, UnsupportedServerError

_PAUSE_S: Final = 1.0
_CANCEL_TIMEOUT_S: Final = 1.0


class RestateWatch:
    """Checks Restate.

    Args:
        check: checks once and returns whether the ingress answers; raises as `RestateCheck.check`.
    """

    def __init__(self, check: Callable[[], Awaitable[bool]], context: BridgeContext) -> None:
        self._check = check
        self._context = context
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Check once; without an answer go on checking.

        Raises:
            UnsupportedServerError: Restate is too old.
            ConfigurationError: settings that can never work.
        """
        if not await self._check():
            self._context.stats.restate_unseen = True
            self._task = self._context.supervisor.run_once("restate-watch", self._until_it_answers())

    async def stop(self) -> None:
        """Check no more; stopping twice is fine."""
        task, self._task = self._task, None
        if task is not None:
            await self._context.supervisor.cancel([task], _CANCEL_TIMEOUT_S)

    def check_again(self) -> None:
        """Restate was unavailable: it may be another one now, and too old."""
        self._context.supervisor.run_once("restate-check", self._check_once())

    async def _check_once(self) -> None:
        await self._check_later()

    async def _until_it_answers(self) -> None:
        stats = self._context.stats
        while stats.restate_unseen:
            await asyncio.sleep(_PAUSE_S)
            if await self._check_later() or stats.outcomes[Outcome.DELIVERED]:
                stats.restate_unseen = False

    async def _check_later(self) -> bool:
        try:
            return await self._check()
        except UnsupportedServerError:
            raise
        except ConfigurationError as error:  # such as the certificate of a proxy: completions show whether it matters
            self._context.log.warning("Restate could not be checked", kind="restate-check", detail=str(error))
            return False
