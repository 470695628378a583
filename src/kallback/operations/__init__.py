"""What operators see and do: pending tasks, outcomes, and results by hand. No state of its own.

Restate's introspection and Kafka's topics have everything; this package reads them. What it changes goes through Kafka,
as if a worker or a caller had sent it.
"""

from kallback.operations.answerable import (
    NoKeyError,
    NotAnswerableError,
    answer_headers,
    check_answerable,
    check_repeatable,
    missing_key,
)
from kallback.operations.by_hand import ByHand, misfit
from kallback.operations.dead_letters import concerns
from kallback.operations.introspection import AnswerCutOffError, AnswerTooLargeError, Introspection, RowSource
from kallback.operations.invocations import InvocationStatus, read_invocation
from kallback.operations.outcomes import follow_outcomes
from kallback.operations.pending import InvalidCursorError, PendingTasks, TaskPage, UnreadableJournalsError
from kallback.operations.task_records import FindRecord, NoTaskRecordError, TaskRecord, read_task_record
from kallback.operations.tasks import (
    NOT_NEXT,
    AttemptProgress,
    PendingTask,
    TaskFilter,
    TaskState,
    WaitingInvocation,
)

__all__ = [
    "NOT_NEXT",
    "AnswerCutOffError",
    "AnswerTooLargeError",
    "AttemptProgress",
    "ByHand",
    "FindRecord",
    "Introspection",
    "InvalidCursorError",
    "InvocationStatus",
    "NoKeyError",
    "NoTaskRecordError",
    "NotAnswerableError",
    "PendingTask",
    "PendingTasks",
    "RowSource",
    "TaskFilter",
    "TaskPage",
    "TaskRecord",
    "TaskState",
    "UnreadableJournalsError",
    "WaitingInvocation",
    "answer_headers",
    "check_answerable",
    "check_repeatable",
    "concerns",
    "follow_outcomes",
    "misfit",
    "missing_key",
    "read_invocation",
    "read_task_record",
]
