"""Looks at task types: handlers that fail or cannot publish, workers that do not read, dead letters of their tasks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Final

from kallback.kafka import TopicGroup
from kallback.operations.doctor.environment import EnvironmentCheck
from kallback.operations.doctor.findings import Finding, is_read, reader_findings, unread_workers_findings, warning
from kallback.operations.doctor.letters import dead_letter_findings
from kallback.operations.doctor.pending_types import PendingTypes, absent_task_finding, unknown_type_finding
from kallback.operations.doctor.servers import Servers
from kallback.operations.doctor.stuck import StuckInvocations
from kallback.operations.doctor.unanswered import unanswered_findings
from kallback.operations.doctor.unpublished import read_unpublished, unpublished_findings
from kallback.operations.invocations import InvocationStatus, read_stuck_invocations
from kallback.operations.pending import PendingTasks
from kallback.protocol import KallbackError
from kallback.protocol.service_names import DEFAULT_AUDIENCE
from kallback.protocol.tokens import is_task_id


class TypesCheck:
    """Looks at one type, or at those of all pending tasks.

    Args:
        servers: of the environment.
        environment: has been looked at.
        target: the name of a type or of its topic; empty: all of them.
        is_module: a Python module has the target's name.
    """

    def __init__(self, servers: Servers, environment: EnvironmentCheck, target: str, *, is_module: bool) -> None:
        self._servers: Final = servers
        self._environment: Final = environment
        self._target: Final = target
        self._is_module: Final = is_module
        self._is_unpublished = False

    async def findings(self) -> AsyncGenerator[Finding]:
        """Look at handlers, then at workers."""
        for name, check in (("handlers", self._unpublished()), ("pending tasks", self._types())):
            async for finding in self._servers.guarded(name, check):
                yield finding

    async def _unpublished(self) -> AsyncGenerator[Finding]:
        found = await read_unpublished(self._servers.introspection, self._servers.now_ms())
        wanted = [each for each in found if self._target in ("", each.task_type)]
        self._is_unpublished = bool(wanted)
        is_others = self._servers.settings.keys.audience != DEFAULT_AUDIENCE and not self._target
        is_away = self._servers.access.kafka_away is not None
        for finding in unpublished_findings(wanted, may_be_of_others=is_others, is_kafka_away=is_away):
            self._servers.access.said(finding.sentence)
            yield finding

    async def _types(self) -> AsyncGenerator[Finding]:
        """Look at one type, or at those of the pending tasks: handlers that fail, workers, dead letters."""
        stuck, pending = list[InvocationStatus](), PendingTypes(self._target)
        servers, environment = self._servers, self._environment
        try:
            stuck = await read_stuck_invocations(servers.introspection)
            await pending.read(PendingTasks(servers.introspection, servers.settings, clock=servers.clock))
        except KallbackError as error:  # the workers can be looked at without it
            for finding in self._servers.access.failed(error, "pending tasks"):
                yield finding
        found = StuckInvocations(stuck, environment.silent, environment.answering).findings(pending.invocations)
        for finding in (*found, *unanswered_findings(pending.unanswered, self._servers.now_ms())):
            yield finding
        topics = pending.topics_of(environment.topics or frozenset())
        if not (topics or pending.unanswered or self._is_unpublished):
            async for finding in self._unknown():
                yield finding
        if not topics and self._target and environment.topics is None:  # it may exist
            topics = [self._target]
        async for finding in self._workers(topics):
            yield finding
        async for finding in self._letters_of(pending):
            yield finding
        for finding in pending.remarks():
            yield finding

    async def _unknown(self) -> AsyncGenerator[Finding]:
        """What to say of a name of which nothing is known."""
        if is_task_id(self._target):
            yield absent_task_finding(await self._servers.absent.explain(self._target))
        elif self._target and self._environment.topics is not None:
            yield unknown_type_finding(self._target, is_module=self._is_module)

    async def _workers(self, topics: Iterable[str]) -> AsyncGenerator[Finding]:
        """How far workers are behind, then which topics nothing reads: a worker that has stopped is one cause."""
        unread = dict[str, list[TopicGroup]]()

        async def readers(topic: str) -> AsyncGenerator[Finding]:
            groups = await self._servers.groups(topic)
            if not is_read(groups):
                unread[topic] = groups
            for finding in reader_findings("workers", topic, groups):
                yield finding

        for topic in topics:
            async for finding in self._servers.guarded(f"workers of {topic}", readers(topic)):
                yield finding
        for finding in unread_workers_findings(unread):
            yield finding

    async def _letters_of(self, pending: PendingTypes) -> AsyncGenerator[Finding]:
        existing = self._environment.topics
        try:
            async for finding in dead_letter_findings(self._servers, existing, pending.attempts, pending.oldest_ms):
                yield finding
        except KallbackError as error:  # it may not be allowed, and the rest does not need it
            if self._servers.access.is_known(error):
                self._servers.access.add(error, "dead letters")
            else:
                yield warning("dead letters", f"those of pending tasks were not looked for: {error}")
