"""Bounds how long tasks wait for a topic or a permission that is missing, as while parts are deployed one by one.

The bound is a durable timer: a handler that is retried or moved does not begin the time anew.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from restate.logging import RestateLoggingFilter

from kallback.lifecycle import LogThrottle
from kallback.sdk.journal.publish import NotSetUp, Unpublished
from kallback.sdk.tasks.late_results import is_completed
from kallback.sdk.tasks.running_task import Future, RunningTask
from kallback.settings import NamedLog

Failures = dict[RunningTask[Any], Unpublished]
"""Why tasks are not in Kafka."""

_LONGEST_DELAY: Final = timedelta(seconds=5)
"""Between tries: what is missing is created while a deployment waits for it."""
_logger: Final = logging.getLogger(__name__)
_logger.addFilter(RestateLoggingFilter())  # no line while a journal is replayed


def setup_log() -> LogThrottle:
    """The log of one `Callbacks`, in which many handlers may miss the same topic."""
    return LogThrottle(NamedLog(_logger))


class SetupLimit:
    """Of tasks that are published together."""

    def __init__(self) -> None:
        self._timer: Future | None = None

    def delay(self, failures: Mapping[RunningTask[Any], Unpublished], delay: timedelta) -> timedelta:
        """The delay before the next try; the first time that something is missing, the limit begins."""
        missing = [(task, failure) for task, failure in failures.items() if isinstance(failure, NotSetUp)]
        if not missing:
            self._timer = None
            return delay
        if self._timer is None:
            task, failure = missing[0]
            self._timer = _begin(task, failure)
        return min(delay, _LONGEST_DELAY, missing[0][0].dependencies.setup_timeout)

    def end_expired(self, failures: Mapping[RunningTask[Any], Unpublished]) -> list[RunningTask[Any]]:
        """End the tasks that have waited long enough; return the others."""
        if self._timer is None or not is_completed(self._timer):
            return list(failures)
        rest = list[RunningTask[Any]]()
        for task, failure in failures.items():
            if isinstance(failure, NotSetUp):
                waited = task.dependencies.setup_timeout.total_seconds()
                task.end_unpublished(failure.kind, failure.status, f"{failure.detail} (tried for {waited:g} s)")
                _logger.error("%s, task %s, was not sent: %s", task.spec.task_type.name, task.task_id, failure.detail)
            else:
                rest.append(task)
        return rest


def _begin(task: RunningTask[Any], failure: NotSetUp) -> Future:
    task_type, limit = task.spec.task_type, task.dependencies.setup_timeout
    task.dependencies.log.warning(
        "tasks are not sent: trying again until their setup timeout",
        kind=f"not-set-up {task_type.topic}",
        task_type=task_type.name,
        detail=failure.detail,
        seconds=limit.total_seconds(),
    )
    return task.ctx.sleep(limit, task.name("wait for a topic or a permission"))
