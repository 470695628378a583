"""Looks at one task: its invocation, its record, the workers of its topic, its dead letters."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

from kallback.kafka import Position
from kallback.operations.doctor.environment import EnvironmentCheck
from kallback.operations.doctor.findings import (
    Finding,
    Severity,
    invocation_finding,
    is_overdue,
    is_read,
    key_finding,
    ok,
    overdue_finding,
    place_findings,
    problem,
    state_finding,
    worker_findings,
)
from kallback.operations.doctor.letters import dead_letter_findings
from kallback.operations.doctor.servers import Servers
from kallback.operations.doctor.stuck import waits_finding
from kallback.operations.doctor.types_check import TypesCheck
from kallback.operations.doctor.unanswered import unanswered_finding
from kallback.operations.invocations import InvocationStatus, read_invocation
from kallback.operations.pending import PendingTasks
from kallback.operations.task_records import NoTaskRecordError, read_task_record
from kallback.operations.tasks import PendingTask


class TaskCheck:
    """Looks at one task.

    Args:
        servers: of the environment.
        environment: has been looked at.
        types: looks at a type with a name like an id, if no task has it.
    """

    def __init__(self, servers: Servers, environment: EnvironmentCheck, types: TypesCheck) -> None:
        self._servers: Final = servers
        self._environment: Final = environment
        self._types: Final = types

    async def findings(self, task_id: str) -> AsyncGenerator[Finding]:
        """Look at it, or at what is there in its place."""
        introspection = self._servers.introspection
        pending = PendingTasks(introspection, self._servers.settings, clock=self._servers.clock)
        task = await self._servers.absent.find_pending(pending, task_id)
        if task is None:
            async for finding in self._no_pending_task(await pending.find_untaken(task_id)):
                yield finding
            return
        invocation = await read_invocation(introspection, task.invocation.id)
        yield (found := self._invocation(invocation))
        is_silent = invocation is not None and invocation.pinned_deployment_id in self._environment.silent
        is_said = is_silent or found.severity in (Severity.PROBLEM, Severity.FOLLOWS)
        if is_stuck := is_said and is_overdue(task, self._servers.now_ms()):
            yield overdue_finding(task, is_stuck=True)
        if task.position is not None:
            record = self._record(task, task.position, is_said=is_stuck)
            async for finding in self._servers.guarded(f"workers of {task.position.topic}", record):
                yield finding
        elif task.signal is not None and not is_stuck:
            is_next = None if invocation is None else invocation.waits_for(task.signal)
            yield unanswered_finding(task, self._servers.now_ms(), is_next=is_next)
        async for finding in dead_letter_findings(
            self._servers, self._environment.topics, {task.task_id: task.attempt}, task.created_ms
        ):
            yield finding

    async def _no_pending_task(self, untaken: PendingTask | None) -> AsyncGenerator[Finding]:
        """Look at one whose result came and whose handler has not gone on, or at a type with a name like an id."""
        if untaken is not None:
            yield ok("task", "its result came, and its handler has not gone on yet")
            yield self._invocation(await read_invocation(self._servers.introspection, untaken.invocation.id))
            return
        async for finding in self._types.findings():
            yield finding

    def _invocation(self, invocation: InvocationStatus | None) -> Finding:
        if invocation is not None and invocation.unreached in self._environment.silent:
            return waits_finding(invocation)
        return invocation_finding(invocation, self._servers.now_ms())

    async def _record(self, task: PendingTask, at: Position, *, is_said: bool) -> AsyncGenerator[Finding]:
        """How far a task is, and the readers of its topic.

        Args:
            task: one of workers.
            at: where its record is.
            is_said: how far it is has been said.
        """
        is_away = self._servers.access.kafka_away is not None
        groups = [] if is_away else await self._servers.groups(at.topic)
        if not is_said:
            is_unread = not is_away and (self._environment.is_without_bridge or not is_read(groups))
            yield state_finding(task, self._servers.now_ms(), is_unread=is_unread)
        self._servers.require_kafka()
        try:
            record = await read_task_record(self._servers.sources.find, task)
        except NoTaskRecordError as error:
            yield problem("record", str(error))
            return
        keyring = self._servers.settings.keys.keyring
        if keyring is not None and (unknown := key_finding(record.headers.token, keyring.key_ids)) is not None:
            yield unknown
        for finding in worker_findings(at.topic, groups):
            yield finding
        if task.next_attempt_ms is None:  # a record of a failed attempt is done with
            for finding in place_findings(at, groups, is_without_bridge=self._environment.is_without_bridge):
                yield finding
