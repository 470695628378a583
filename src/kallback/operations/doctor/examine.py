"""Runs the checks one after the other: what cannot be looked at is a finding, too, with the remedy in its sentence.

Nothing is changed, in Kafka or in Restate; a question that a service has not answered is withdrawn there. Order: what
all tasks of the environment need; then one task, or handlers and workers of one type, or of all types that are waited
for.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from typing import Final

from kallback.operations.doctor.environment import EnvironmentCheck
from kallback.operations.doctor.findings import Finding
from kallback.operations.doctor.servers import Servers, Sources
from kallback.operations.doctor.task_check import TaskCheck
from kallback.operations.doctor.types_check import TypesCheck
from kallback.protocol.tokens import is_task_id
from kallback.settings import Settings


class Examination:
    """Looks at one environment."""

    def __init__(self, sources: Sources, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._servers: Final = Servers(sources, settings, clock)

    async def run(self, target: str = "", *, is_module: bool = False) -> AsyncGenerator[Finding]:
        """Return findings as they are made.

        Args:
            target: the name of a task type or of its topic, or the id of a task; empty: the environment, and the types
                of tasks that are pending.
            is_module: a Python module has the target's name, too.
        """
        servers, environment = self._servers, EnvironmentCheck(self._servers)
        async for finding in environment.findings(target):
            yield finding
        types = TypesCheck(servers, environment, target, is_module=is_module)
        if target and is_task_id(target) and target not in (environment.topics or ()):
            task = TaskCheck(servers, environment, types)
            found = servers.guarded(f"task {target}", task.findings(target))
        else:
            found = types.findings()
        async for finding in found:
            yield finding
        for finding in servers.access.unchecked():
            yield finding
