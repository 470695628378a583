"""What the doctor says of awakeables: no worker does them, so there is nothing to look at but the time. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from kallback.durations import span
from kallback.operations.doctor.findings import Finding, Severity, is_overdue, ok, overdue_finding
from kallback.operations.tasks import NOT_NEXT, PendingTask


def unanswered_finding(task: PendingTask, now_ms: int, *, is_next: bool | None = None) -> Finding:
    """Since when one waits, until when, and who can answer it.

    Args:
        task: the awakeable.
        now_ms: epoch milliseconds.
        is_next: whether its handler waits for this answer now; None if that is not known.
    """
    if is_overdue(task, now_ms):
        return overdue_finding(task)
    left = "has no deadline" if task.deadline_ms is None else f"waits {span(task.deadline_ms - now_ms)} more"
    other = f"; {NOT_NEXT}" if is_next is False else ""
    since = _age(task, now_ms)
    said = f"it is an awakeable, which no worker does: without an answer for {since}, and its handler {left}"
    return Finding(
        "task",
        Severity.OK,
        f"{said}{other}",
        "who has the token or the link that the handler handed out answers; or an operator who has KALLBACK_KEYS: "
        f"kallback tasks complete {task.task_id} (or fail, cancel, link)",
    )


def unanswered_findings(tasks: Iterable[PendingTask], now_ms: int) -> Iterator[Finding]:
    """How many of each type wait, and since when."""
    types = defaultdict[str, list[PendingTask]](list)
    for task in tasks:
        types[task.task_type].append(task)
    for name, own in sorted(types.items()):
        oldest = min(own, key=lambda task: task.created_ms)
        count = "1 awakeable waits" if len(own) == 1 else f"{len(own):,} awakeables wait"
        said = f"{count} for an answer of type {name}, the oldest ({oldest.task_id}) for {_age(oldest, now_ms)}"
        yield ok("awakeables", said)


def _age(task: PendingTask, now_ms: int) -> str:
    return span(max(0, now_ms - task.created_ms))
