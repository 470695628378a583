"""What can be done to one task or to many by hand: how it is sent, and how sentences call it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kallback.kafka import Position
from kallback.operations import ByHand, PendingTask, check_repeatable
from kallback.protocol import Problem, TaskHeaders

Send = Callable[[ByHand, PendingTask, TaskHeaders], Awaitable[Position]]


def accept(_task: PendingTask) -> None:
    """It can be done to every task."""


@dataclass(frozen=True, slots=True)
class TaskAction:
    """Something that an operator does.

    Attributes:
        verb: `cancel`.
        done: `cancelled`.
        doing: `cancelling`.
        send: publishes it; returns where the result is.
        check: raises for a task to which it cannot be done.
    """

    verb: str
    done: str
    doing: str
    send: Send
    check: Callable[[PendingTask], None] = accept


def complete_with(send: Send) -> TaskAction:
    """Give the handler a value."""
    return TaskAction("complete", "completed", "completing", send)


def fail_with(problem: Problem) -> TaskAction:
    """Fail the current attempt."""
    return TaskAction("fail", "failed", "failing", lambda by_hand, _, headers: by_hand.fail(headers, problem))


async def _retry(by_hand: ByHand, task: PendingTask, headers: TaskHeaders) -> Position:
    """Continue with the last heartbeat's details, which are newer than those that the record has."""
    return await by_hand.retry(headers, b"" if task.progress is None else task.progress.details)


async def _cancel(by_hand: ByHand, task: PendingTask, headers: TaskHeaders) -> Position:
    return await by_hand.cancel(headers, has_worker=task.signal is None)


RETRY = TaskAction("retry", "retried", "retrying", _retry, check_repeatable)
CANCEL = TaskAction("cancel", "cancelled", "cancelling", _cancel)
