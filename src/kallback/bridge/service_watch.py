"""Watches whether the Restate services that a bridge calls are its own.

At the start, and when the first answer comes later, a service of another environment ends the bridge: its settings must
change. A service that was the bridge's own and is no longer has been taken over. The bridge goes on, because results do
not need `TaskMonitor`, and waiting may cure it; but it is not ready, and says so, until the service answers that it is
the bridge's own again. An answer that does not come changes nothing.

Ownership: one task on the event loop of the bridge asks again and again. Cancellation: nothing is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from kallback.bridge.context import BridgeContext
from kallback.bridge.restate.services import ServiceAnswer, ServiceState, foreign_service, incomplete_service
from kallback.protocol import ConfigurationError

_INTERVAL_S: Final = 15.0
_MAX_INTERVAL_S: Final = 240.0
"""After answers that did not come: each question waits in Restate until the service is back."""
_CANCEL_TIMEOUT_S: Final = 1.0
_UNKNOWN: Final = frozenset(
    {
        ServiceState.UNREADABLE,
        ServiceState.UNKNOWN,
        ServiceState.UNREACHABLE,
        ServiceState.NOT_RESTATES,
        ServiceState.DENIED,
    }
)
_ITS_OWN_ANSWER: Final = frozenset({ServiceState.OWN, ServiceState.INCOMPLETE, ServiceState.FOREIGN})
"""A missing one may be the 404 of a proxy."""
_OURS: Final = frozenset({ServiceState.OWN, ServiceState.INCOMPLETE})


class ServiceProbe(Protocol):
    """Asks the services that a bridge calls."""

    async def ask(self) -> Sequence[ServiceAnswer]:
        """Ask each of them; an answer that does not come in time is unknown."""
        ...


class ServiceWatch:
    """Asks at the start and while the bridge runs.

    Args:
        url: of the ingress, for the sentences.
    """

    def __init__(self, probe: ServiceProbe, url: str, context: BridgeContext) -> None:
        self._probe = probe
        self._url = url
        self._context = context
        self._own: set[str] = set()
        self._taken_over: dict[str, ServiceAnswer] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Ask once, then go on asking.

        Raises:
            ConfigurationError: a service belongs to another environment.
        """
        self._take(await self._probe.ask())
        self._task = self._context.supervisor.run("service-watch", self._run())

    async def stop(self) -> None:
        """Ask no more; stopping twice is fine."""
        task, self._task = self._task, None
        if task is not None:
            await self._context.supervisor.cancel([task], _CANCEL_TIMEOUT_S)

    async def _run(self) -> None:
        interval = _INTERVAL_S
        while True:
            await asyncio.sleep(interval)
            answers = await self._probe.ask()
            self._take(answers)
            unknown = any(each.state in _UNKNOWN for each in answers)
            interval = min(2 * interval, _MAX_INTERVAL_S) if unknown else _INTERVAL_S

    def _take(self, answers: Sequence[ServiceAnswer]) -> None:
        for each in answers:
            if each.state in _OURS:
                self._own.add(each.service)
        sentence = foreign_service([each for each in answers if each.service not in self._own], self._url)
        if sentence is not None:
            raise ConfigurationError(sentence)
        self._remember(answers)
        self._report(answers)

    def _remember(self, answers: Sequence[ServiceAnswer]) -> None:
        for each in answers:
            if each.state is ServiceState.FOREIGN:
                self._taken_over[each.service] = each
            elif each.state not in _UNKNOWN:
                self._taken_over.pop(each.service, None)
        stats, taken_over = self._context.stats, list(self._taken_over.values())
        if any(each.state in _ITS_OWN_ANSWER for each in answers):
            stats.restate_unseen = False
        stats.services_taken_over = foreign_service(taken_over, self._url)
        stats.progress_refused = any(each.takes_progress for each in taken_over)

    def _report(self, answers: Sequence[ServiceAnswer]) -> None:
        log = self._context.log
        if (taken_over := foreign_service(answers, self._url)) is not None:
            log.error(taken_over, kind="service-taken-over")
        for each in answers:
            if each.state is ServiceState.INCOMPLETE:
                log.error(incomplete_service(each), kind="service-incomplete")
            if each.state in _UNKNOWN:
                log.warning(
                    "it is unknown whether a Restate service is this bridge's own: asking again",
                    kind="service-unknown",
                    service=each.service,
                    detail=each.detail,
                )
