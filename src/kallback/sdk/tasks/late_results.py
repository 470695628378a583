"""Results of attempts that were given up: they change nothing, and a log line says so."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from restate import RestateDurableFuture, wait_completed
from restate.logging import RestateLoggingFilter
from restate.server_context import ServerDurableFuture

from kallback.protocol import TaskId
from kallback.sdk.journal.awakeables import PendingAttempt

Future = RestateDurableFuture[Any]

_log: Final = logging.getLogger(__name__)
_log.addFilter(RestateLoggingFilter())  # no line while a journal is replayed


async def log_late_results(
    task_type: str, task_id: TaskId, given_up: Sequence[PendingAttempt[Any]], others: Sequence[Future]
) -> None:
    """Log which attempts were completed after they were given up. No journal entry, and nothing to wait for.

    One of the others is completed.
    """
    completed, _ = await wait_completed(*others, *(pending.future for pending in given_up))
    for pending in given_up:
        if pending.future in completed:
            _log.warning(
                "%s, task %s: a result of attempt %d came after that attempt was given up, and was dropped",
                task_type,
                task_id,
                pending.headers.attempt,
            )


def is_completed(future: Future) -> bool:
    """Whether a future is completed, without a wait. It follows from the waits before, so a replay sees the same."""
    return isinstance(future, ServerDurableFuture) and bool(future.is_completed())  # type: ignore[no-untyped-call]  # it has no annotation
