"""Runs the checks one after the other: what cannot be looked at is a finding, too, with the remedy in its sentence.

Nothing is changed, in Kafka or in Restate. Order: Restate, its services, topics, bridges, then the workers of one type,
then one task.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from kallback.bridge.restate.services import ServiceAnswer, ServiceCheck, ServiceState
from kallback.kafka import DeadLetter, PartitionTransaction, Position, TopicGroup, TopicReader, read_entries
from kallback.operations.deployments import Deployment
from kallback.operations.doctor.access import Access
from kallback.operations.doctor.findings import (
    Finding,
    Severity,
    clock_finding,
    follows,
    invocation_finding,
    is_overdue,
    is_read,
    ok,
    overdue_finding,
    place_findings,
    problem,
    reader_findings,
    state_finding,
    topic_findings,
    transaction_findings,
    unread_finding,
    unread_workers_findings,
    warning,
    worker_findings,
)
from kallback.operations.doctor.letters import TaskLetter, letter_findings, letters_of
from kallback.operations.doctor.pending_types import PendingTypes, unknown_task_finding, unknown_type_finding
from kallback.operations.doctor.service_findings import answering_deployments, service_findings, silent_services
from kallback.operations.doctor.stuck import StuckInvocations, waits_finding
from kallback.operations.doctor.unanswered import unanswered_finding, unanswered_findings
from kallback.operations.doctor.unpublished import read_unpublished, unpublished_findings
from kallback.operations.introspection import RowSource
from kallback.operations.invocations import InvocationStatus, read_invocation, read_stuck_invocations
from kallback.operations.pending import PendingTasks
from kallback.operations.replay_checks import ReplayRules
from kallback.operations.task_records import FindRecord, NoTaskRecordError, read_task_record
from kallback.operations.tasks import PendingTask
from kallback.protocol import Attempt, ConfigurationError, KallbackError, TaskId
from kallback.protocol.service_names import DEFAULT_AUDIENCE
from kallback.protocol.tokens import is_task_id
from kallback.settings import Settings

_START_BRIDGE: Final = "start a bridge: kallback bridge"
_ENTRIES: Final = 10_000
"""Dead letters that are looked at."""
_READ_MORE: Final = "set KALLBACK_TOPICS_MORE_RESULTS for the bridges, too, and restart them"


class _Now(msgspec.Struct):
    now: datetime


@dataclass(frozen=True, slots=True)
class Sources:
    """What the doctor looks with.

    Attributes:
        topics: the names of all topics.
        groups: the consumer groups of a topic.
        services: asks the services of the environment; None without keys.
        deployments: all that Restate has; None: they are not looked at.
        transactions: those that producers have open in some topics; None: they are not looked for.
        reader: of a topic, from a time on (epoch milliseconds).
    """

    introspection: RowSource
    topics: Callable[[], Awaitable[frozenset[str]]]
    groups: Callable[[str], Awaitable[list[TopicGroup]]]
    find: FindRecord
    reader: Callable[[str, int | None], TopicReader]
    services: Callable[[], Awaitable[list[ServiceAnswer]]] | None = None
    deployments: Callable[[], Awaitable[list[Deployment]]] | None = None
    transactions: Callable[[Sequence[str]], Awaitable[list[PartitionTransaction]]] | None = None


def service_check(settings: Settings) -> Callable[[], Awaitable[list[ServiceAnswer]]] | None:
    """What asks the services of an environment; None without keys."""
    if settings.keys.keyring is None and not settings.keys.insecure:
        return None
    names = settings.services
    check = ServiceCheck(
        settings.restate,
        settings.keys.require(),
        settings.keys.audience,
        monitors=[names.monitor],
        notifiers=[names.notifier],
        marks=names.marks,
    )
    return check.ask


class Examination:
    """Looks at one environment."""

    def __init__(self, sources: Sources, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._sources: Final = sources
        self._settings: Final = settings
        self._clock: Final = clock
        self._access: Final = Access()
        self._topics: frozenset[str] | None = None
        self._is_unpublished = self._is_without_bridge = False
        self._silent: frozenset[str] = frozenset()
        self._answering: frozenset[str] = frozenset()

    async def run(self, target: str = "") -> AsyncGenerator[Finding]:
        """Return findings as they are made.

        Args:
            target: the name of a task type or of its topic, or the id of a task; empty: the environment, and the types
                of tasks that are pending.
        """
        async for finding in self._checks(target):
            yield finding
        for finding in self._access.unchecked():
            yield finding

    async def _checks(self, target: str) -> AsyncGenerator[Finding]:
        for name, check in (
            ("clocks", self._restate()),
            ("services", self._services()),
            ("topics", self._own_topics()),
            ("bridges", self._bridges()),
            ("open transactions", self._transactions(target)),
        ):
            async for finding in self._guarded(name, check):
                yield finding
        if target and is_task_id(target) and target not in (self._topics or ()):
            async for finding in self._guarded(f"task {target}", self._task(target)):
                yield finding
            return
        for name, check in (("handlers", self._unpublished(target)), ("pending tasks", self._types(target))):
            async for finding in self._guarded(name, check):
                yield finding

    async def _guarded(self, name: str, findings: AsyncGenerator[Finding]) -> AsyncGenerator[Finding]:
        """The findings of a check; an error is one, and ends this check only."""
        async with aclosing(findings):
            try:
                async for finding in findings:
                    yield finding
            except KallbackError as error:
                for finding in self._access.failed(error, name):
                    yield finding

    @property
    def _introspection(self) -> RowSource:
        """Restate's, unless it gave no answer: each question would wait as long."""
        if self._access.restate_away is not None:
            raise self._access.restate_away
        return self._sources.introspection

    async def _restate(self) -> AsyncGenerator[Finding]:
        rows = await self._introspection.rows("SELECT now() AS now", _Now)
        if not rows:
            raise ConfigurationError(
                "what answers as Restate's admin API is no Restate: set KALLBACK_RESTATE_ADMIN_URL"
            )
        yield ok("restate", "the admin API answers queries")
        yield clock_finding(self._now_ms() - int(rows[0].now.timestamp() * 1000))

    async def _services(self) -> AsyncGenerator[Finding]:
        if self._sources.services is None:
            yield warning("services", "their keys were not checked", "set KALLBACK_KEYS as bridges have it")
            return
        answers, deployments, stuck = await self._sources.services(), list[Deployment](), list[InvocationStatus]()
        away = next((each for each in answers if each.state is ServiceState.UNREACHABLE), None)
        if away is not None and self._access.restate_away is not None:
            yield follows("services", f"Restate's ingress gives no answer either ({away.detail}); they were not asked")
            return
        try:
            if self._sources.deployments is not None:
                deployments = await self._sources.deployments()
            silent = silent_services(answers, deployments)
            stuck = await read_stuck_invocations(self._introspection) if silent else []
            self._silent = frozenset(each.route.current.id for each in silent if each.route is not None)
        except KallbackError as error:  # the answers alone say enough
            is_said = self._access.is_known(error) or self._access.restate_away is not None
            if not is_said:
                yield warning("services", f"their deployments were not looked at: {error}")
        self._answering = answering_deployments(answers, deployments)
        for finding in service_findings(answers, deployments, stuck):
            yield finding

    async def _own_topics(self) -> AsyncGenerator[Finding]:
        self._topics = await self._sources.topics()
        topics = self._settings.topics
        for finding in topic_findings(
            (*topics.all_results, topics.progress, topics.control, topics.dead_letters), self._topics
        ):
            yield finding

    async def _bridges(self) -> AsyncGenerator[Finding]:
        """A bridge reads all results topics: if none is read, none runs; if some are, it does not know the others."""
        topics = self._settings.topics
        existing = [each for each in topics.all_results if each in (self._topics or topics.all_results)]
        groups = {topic: await self._groups(topic) for topic in existing}  # that one is missing is said already
        unread = {topic: found for topic, found in groups.items() if not is_read(found)}
        self._is_without_bridge = bool(unread)
        if unread:
            is_restart = len(unread) < len(groups) and topics.results not in unread
            yield unread_finding("bridges", unread, _READ_MORE if is_restart else _START_BRIDGE)
        for topic, found in groups.items():
            for finding in reader_findings("bridges", topic, found):
                yield finding

    async def _groups(self, topic: str) -> list[TopicGroup]:
        """The groups of a topic; a Kafka that did not answer is not asked again, for each question waits as long."""
        if self._access.kafka_away is not None:
            raise self._access.kafka_away
        return await self._sources.groups(topic)

    async def _transactions(self, target: str) -> AsyncGenerator[Finding]:
        if self._access.kafka_away is not None:
            raise self._access.kafka_away
        topics = self._settings.topics
        names = [each for each in (*topics.all_results, topics.progress, target) if each in (self._topics or ())]
        if self._sources.transactions is None or not names:
            return
        try:
            found = await self._sources.transactions(names)
        except KallbackError as error:  # it may not be allowed, and the rest does not need it
            yield warning("transactions", f"open transactions were not looked for: {error}")
            return
        for finding in transaction_findings(found, self._now_ms()):
            yield finding

    async def _unpublished(self, target: str) -> AsyncGenerator[Finding]:
        found = await read_unpublished(self._introspection, self._now_ms())
        wanted = [each for each in found if target in ("", each.task_type)]
        self._is_unpublished = bool(wanted)
        is_shared = self._settings.keys.audience != DEFAULT_AUDIENCE
        is_away = self._access.kafka_away is not None
        for finding in unpublished_findings(wanted, may_be_of_others=is_shared and not target, is_kafka_away=is_away):
            yield finding

    async def _types(self, target: str) -> AsyncGenerator[Finding]:
        """Look at one type, or at those of the pending tasks: handlers that fail, workers, dead letters."""
        stuck, pending = list[InvocationStatus](), PendingTypes(target)
        try:
            stuck = await read_stuck_invocations(self._introspection)
            await pending.read(PendingTasks(self._introspection, self._settings, clock=self._clock))
        except KallbackError as error:  # the workers can be looked at without it
            for finding in self._access.failed(error, "pending tasks"):
                yield finding
        found = StuckInvocations(stuck, self._silent, self._answering).findings(pending.invocations)
        for finding in (*found, *unanswered_findings(pending.unanswered, self._now_ms())):
            yield finding
        topics = pending.topics_of(self._topics or frozenset())
        if not (topics or pending.unanswered or self._is_unpublished):
            for finding in self._unknown(target):
                yield finding
        async for finding in self._workers(topics or ([target] if target and self._topics is None else [])):
            yield finding
        async for finding in self._letters_of(pending):
            yield finding
        for finding in pending.remarks():
            yield finding

    def _unknown(self, target: str) -> Iterator[Finding]:
        """What to say of a name of which nothing is known."""
        if is_task_id(target):
            yield unknown_task_finding(target)
        elif target and self._topics is not None:
            yield unknown_type_finding(target)

    async def _letters_of(self, pending: PendingTypes) -> AsyncGenerator[Finding]:
        try:
            async for finding in self._dead_letters(pending.attempts, pending.oldest_ms):
                yield finding
        except KallbackError as error:  # it may not be allowed, and the rest does not need it
            if self._access.is_known(error):
                self._access.add(error, "dead letters")
            else:
                yield warning("dead letters", f"those of pending tasks were not looked for: {error}")

    async def _workers(self, topics: Iterable[str]) -> AsyncGenerator[Finding]:
        """How far workers are behind, then which topics nothing reads: a worker that has stopped is one cause."""
        unread = dict[str, list[TopicGroup]]()

        async def readers(topic: str) -> AsyncGenerator[Finding]:
            groups = await self._groups(topic)
            if not is_read(groups):
                unread[topic] = groups
            for finding in reader_findings("workers", topic, groups):
                yield finding

        for topic in topics:
            async for finding in self._guarded(f"workers of {topic}", readers(topic)):
                yield finding
        for finding in unread_workers_findings(unread):
            yield finding

    async def _task(self, task_id: str) -> AsyncGenerator[Finding]:
        introspection = self._introspection
        pending = PendingTasks(introspection, self._settings, clock=self._clock)
        task = await pending.find(task_id)
        if task is None:
            async for finding in self._no_pending_task(task_id, await pending.find_untaken(task_id)):
                yield finding
            return
        invocation = await read_invocation(introspection, task.invocation.id)
        yield (found := self._invocation(invocation))
        is_silent = invocation is not None and invocation.pinned_deployment_id in self._silent
        is_said = is_silent or found.severity in (Severity.PROBLEM, Severity.FOLLOWS)
        if is_stuck := is_said and is_overdue(task, self._now_ms()):
            yield overdue_finding(task, is_stuck=True)
        if task.position is not None:
            record = self._record(task, task.position, is_said=is_stuck)
            async for finding in self._guarded(f"workers of {task.position.topic}", record):
                yield finding
        elif task.signal is not None and not is_stuck:
            is_next = None if invocation is None else invocation.waits_for(task.signal)
            yield unanswered_finding(task, self._now_ms(), is_next=is_next)
        async for finding in self._dead_letters({task.task_id: task.attempt}, task.created_ms):
            yield finding

    async def _no_pending_task(self, task_id: str, untaken: PendingTask | None) -> AsyncGenerator[Finding]:
        """Look at one whose result came and whose handler has not gone on, or at a type with a name like an id."""
        if untaken is not None:
            yield ok("task", "its result came, and its handler has not gone on yet")
            yield self._invocation(await read_invocation(self._introspection, untaken.invocation.id))
            return
        for look in (self._unpublished, self._types):
            async for finding in look(task_id):
                yield finding

    def _invocation(self, invocation: InvocationStatus | None) -> Finding:
        if invocation is not None and invocation.unreached in self._silent:
            return waits_finding(invocation)
        return invocation_finding(invocation, self._now_ms())

    async def _record(self, task: PendingTask, at: Position, *, is_said: bool) -> AsyncGenerator[Finding]:
        """How far a task is, and the readers of its topic.

        Args:
            task: one of workers.
            at: where its record is.
            is_said: how far it is has been said.
        """
        is_away = self._access.kafka_away is not None
        groups = [] if is_away else await self._groups(at.topic)
        if not is_said:
            is_unread = not is_away and (self._is_without_bridge or not is_read(groups))
            yield state_finding(task, self._now_ms(), is_unread=is_unread)
        if self._access.kafka_away is not None:
            raise self._access.kafka_away
        try:
            await read_task_record(self._sources.find, task)
        except NoTaskRecordError as error:
            yield problem("record", str(error))
            return
        for finding in worker_findings(at.topic, groups):
            yield finding
        if task.next_attempt_ms is None:  # a record of a failed attempt is done with
            for finding in place_findings(at, groups, is_without_bridge=self._is_without_bridge):
                yield finding

    async def _dead_letters(self, attempts: Mapping[TaskId, Attempt], since_ms: int) -> AsyncGenerator[Finding]:
        """Those of the current attempts of tasks, since a time, as far as they are read."""
        topic, found, count = self._settings.topics.dead_letters, list[TaskLetter](), 0
        if attempts and self._access.kafka_away is not None:
            raise self._access.kafka_away
        if not attempts or topic not in (self._topics or ()):
            return
        async with aclosing(read_entries(self._sources.reader(topic, since_ms))) as entries:
            async for entry in entries:
                if isinstance(entry, DeadLetter):
                    found += letters_of(entry, attempts)
                count += 1
                if count == _ENTRIES:
                    break
        for finding in letter_findings(found, ReplayRules.of(self._settings)):
            yield finding
        if count == _ENTRIES:
            yield warning("dead letters", f"of those since the oldest task only {_ENTRIES:,} were looked at")

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
