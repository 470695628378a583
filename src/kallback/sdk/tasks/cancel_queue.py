"""What the workers of one task must know: what was not sent yet, and the steps that send it."""

from __future__ import annotations

from typing import Any, Final

from restate import RestateDurableFuture

from kallback.protocol import Attempt, Cancel, CancelReason, TaskId


class CancelQueue:
    """The cancels of one task. After a cancel of all attempts there is nothing more to tell.

    Attributes:
        steps: those that were issued, until they have been waited for.
    """

    def __init__(self, task_id: TaskId) -> None:
        self.steps: Final = list[RestateDurableFuture[Any]]()
        self._task_id: Final = task_id
        self._queued: list[Cancel] = []
        self._complete = False

    def add(self, reason: CancelReason, attempt: Attempt | None = None) -> None:
        """Queue a cancel.

        Args:
            reason: why.
            attempt: the last one to be cancelled; None for all attempts.
        """
        if not self._complete:
            self._queued.append(Cancel(self._task_id, reason, 0, attempt))
        self._complete = self._complete or attempt is None

    def take(self) -> list[Cancel]:
        """The queued cancels, each returned once. The publisher adds their time and secret."""
        queued, self._queued = self._queued, []
        return queued
