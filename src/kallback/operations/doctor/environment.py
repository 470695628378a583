"""Looks at what all tasks of an environment need: Restate, its services, kallback's topics, bridges."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

import msgspec

from kallback.bridge.restate.services import ServiceAnswer, ServiceState
from kallback.operations.deployments import Deployment
from kallback.operations.doctor.findings import (
    Finding,
    clock_finding,
    follows,
    is_read,
    ok,
    reader_findings,
    topic_findings,
    transaction_findings,
    unread_finding,
    warning,
)
from kallback.operations.doctor.permissions import needed_topics
from kallback.operations.doctor.servers import Servers
from kallback.operations.doctor.service_findings import answering_deployments, service_findings, silent_services
from kallback.operations.invocations import InvocationStatus, read_stuck_invocations
from kallback.protocol import ConfigurationError, KallbackError

_START_BRIDGE: Final = "start a bridge: kallback bridge"
_READ_MORE: Final = "set KALLBACK_TOPICS_MORE_RESULTS for the bridges, too, and restart them"


class _Now(msgspec.Struct):
    now: datetime


class EnvironmentCheck:
    """Looks at one environment, and remembers what explains other findings.

    Attributes:
        topics: the names of all topics; None if they are not known.
        is_without_bridge: nothing reads results, or some of their topics.
        silent: deployments whose services give no answer.
        answering: deployments whose services gave one.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers: Final = servers
        self.topics: frozenset[str] | None = None
        self.is_without_bridge = False
        self.silent: frozenset[str] = frozenset()
        self.answering: frozenset[str] = frozenset()

    async def findings(self, target: str) -> AsyncGenerator[Finding]:
        """Look at everything; of open transactions, also at those of a topic with the target's name."""
        for name, check in (
            ("clocks", self._restate()),
            ("services", self._services()),
            ("topics", self._own_topics()),
            ("bridges", self._bridges()),
            ("open transactions", self._transactions(target)),
        ):
            async for finding in self._servers.guarded(name, check):
                yield finding

    async def _restate(self) -> AsyncGenerator[Finding]:
        rows = await self._servers.introspection.rows("SELECT now() AS now", _Now)
        if not rows:
            raise ConfigurationError(
                "what answers as Restate's admin API is no Restate: set KALLBACK_RESTATE_ADMIN_URL"
            )
        yield ok("restate", "the admin API answers queries")
        yield clock_finding(self._servers.now_ms() - int(rows[0].now.timestamp() * 1000))

    async def _services(self) -> AsyncGenerator[Finding]:
        if self._servers.sources.services is None:
            yield warning("services", "their keys were not checked", "set KALLBACK_KEYS as bridges have it")
            return
        answers, deployments, stuck = (
            await self._servers.sources.services(),
            list[Deployment](),
            list[InvocationStatus](),
        )
        away = next((each for each in answers if each.state is ServiceState.UNREACHABLE), None)
        if away is not None and self._servers.access.restate_away is not None:
            yield follows("services", f"Restate's ingress gives no answer either ({away.detail}); they were not asked")
            return
        try:
            if self._servers.sources.deployments is not None:
                deployments = await self._servers.sources.deployments()
            silent = silent_services(answers, deployments)
            stuck = await read_stuck_invocations(self._servers.introspection) if silent else []
            self.silent = frozenset(each.route.current.id for each in silent if each.route is not None)
        except KallbackError as error:  # the answers alone say enough
            is_said = self._servers.access.is_known(error) or self._servers.access.restate_away is not None
            if not is_said:
                yield warning("services", f"their deployments were not looked at: {error}")
        self.answering = answering_deployments(answers, deployments)
        await self._withdraw(answers)
        for finding in service_findings(answers, deployments, stuck):
            yield finding

    async def _withdraw(self, answers: Sequence[ServiceAnswer]) -> None:
        """Remove questions that wait in Restate for a service; until then they told why it gives no answer."""
        withdraw, waiting = self._servers.sources.withdraw, [each.waiting for each in answers if each.waiting]
        if withdraw is None or not waiting or self._servers.access.restate_away is not None:
            return
        with suppress(KallbackError):  # it may not be allowed; the next one who asks waits for the same
            await withdraw(waiting)

    async def _own_topics(self) -> AsyncGenerator[Finding]:
        self.topics = await self._servers.sources.topics()
        topics = self._servers.settings.topics
        for finding in topic_findings(needed_topics(topics), self.topics, topics.outcomes):
            yield finding

    async def _bridges(self) -> AsyncGenerator[Finding]:
        """A bridge reads all results topics: if none is read, none runs; if some are, it does not know the others."""
        topics = self._servers.settings.topics
        existing = [each for each in topics.all_results if each in (self.topics or topics.all_results)]
        groups = {topic: await self._servers.groups(topic) for topic in existing}  # that one is missing is said already
        unread = {topic: found for topic, found in groups.items() if not is_read(found)}
        self.is_without_bridge = bool(unread)
        if unread:
            is_restart = len(unread) < len(groups) and topics.results not in unread
            yield unread_finding("bridges", unread, _READ_MORE if is_restart else _START_BRIDGE)
        for topic, found in groups.items():
            for finding in reader_findings("bridges", topic, found):
                yield finding

    async def _transactions(self, target: str) -> AsyncGenerator[Finding]:
        self._servers.require_kafka()
        topics = self._servers.settings.topics
        names = [each for each in (*topics.all_results, topics.progress, target) if each in (self.topics or ())]
        if self._servers.sources.transactions is None or not names:
            return
        try:
            found = await self._servers.sources.transactions(names)
        except KallbackError as error:  # it may not be allowed, and the rest does not need it
            yield warning("transactions", f"open transactions were not looked for: {error}")
            return
        for finding in transaction_findings(found, self._servers.now_ms()):
            yield finding
