"""What the workers of one task must know: what was not sent yet, and the steps that send it."""

from __future__ import annotations

from typing import Any, Final

from restate import RestateDurableFuture

from kallback.protocol import Attempt, Cancel, CancelReason, TaskId


class CancelQueue:
    """The cancels of one task. No attempt is cancelled twice, but for one that was replaced and then the last.

    Attributes:
        steps: those that were issued, until they have been waited for.
    """

    def __init__(self, task_id: TaskId) -> None:
        self.steps: Final = list[RestateDurableFuture[Any]]()
        self._task_id: Final = task_id
        self._queued: list[Cancel] = []
        self._last: Attempt | None = None
        self._reason: CancelReason | None = None

    def add(self, reason: CancelReason, attempt: Attempt, *, is_final: bool = False) -> None:
        """Queue a cancel, unless it was said before.

        Args:
            reason: why.
            attempt: the current one: it and those before it are cancelled.
            is_final: no attempt follows: all are cancelled.
        """
        is_new = self._last is None or attempt > self._last
        if is_new or (is_final and self._reason is CancelReason.SUPERSEDED):
            self._last, self._reason = attempt, reason
            self._queued.append(Cancel(self._task_id, reason, 0, None if is_final else attempt))

    def take(self) -> list[Cancel]:
        """The queued cancels, each returned once. The publisher adds their time and secret."""
        queued, self._queued = self._queued, []
        return queued
