"""What operators see and do: pending tasks, outcomes, and results by hand. No state of its own.

Restate's introspection and Kafka's topics have everything; this package reads them. What it changes goes through Kafka,
as if a worker or a caller had sent it.

Every name is imported at its first use: what reads dead letters needs no client of Restate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.lazy_names import lazy_names

if TYPE_CHECKING:
    from kallback.operations.absent import AbsenceCause, AbsentTask, AbsentTasks
    from kallback.operations.answerable import (
        NoKeyError,
        NotAnswerableError,
        answer_headers,
        answer_headers_of,
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
    from kallback.operations.task_records import (
        FindRecord,
        NoTaskRecordError,
        TaskRecord,
        find_task_record,
        read_task_record,
        takes_attempts_back,
    )
    from kallback.operations.tasks import (
        NOT_NEXT,
        AttemptProgress,
        PendingTask,
        TaskFilter,
        TaskState,
        WaitingInvocation,
    )

_HOMES: Final = {
    "AbsenceCause": "absent",
    "AbsentTask": "absent",
    "AbsentTasks": "absent",
    "AnswerCutOffError": "introspection",
    "AnswerTooLargeError": "introspection",
    "AttemptProgress": "tasks",
    "ByHand": "by_hand",
    "FindRecord": "task_records",
    "Introspection": "introspection",
    "InvalidCursorError": "pending",
    "InvocationStatus": "invocations",
    "NOT_NEXT": "tasks",
    "NoKeyError": "answerable",
    "NoTaskRecordError": "task_records",
    "NotAnswerableError": "answerable",
    "PendingTask": "tasks",
    "PendingTasks": "pending",
    "RowSource": "introspection",
    "TaskFilter": "tasks",
    "TaskPage": "pending",
    "TaskRecord": "task_records",
    "TaskState": "tasks",
    "UnreadableJournalsError": "pending",
    "WaitingInvocation": "tasks",
    "answer_headers": "answerable",
    "answer_headers_of": "answerable",
    "check_answerable": "answerable",
    "check_repeatable": "answerable",
    "concerns": "dead_letters",
    "find_task_record": "task_records",
    "follow_outcomes": "outcomes",
    "misfit": "by_hand",
    "missing_key": "answerable",
    "read_invocation": "invocations",
    "read_task_record": "task_records",
    "takes_attempts_back": "task_records",
}

__all__ = [
    "NOT_NEXT",
    "AbsenceCause",
    "AbsentTask",
    "AbsentTasks",
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
    "answer_headers_of",
    "check_answerable",
    "check_repeatable",
    "concerns",
    "find_task_record",
    "follow_outcomes",
    "misfit",
    "missing_key",
    "read_invocation",
    "read_task_record",
    "takes_attempts_back",
]

__getattr__ = lazy_names(__name__, _HOMES)
