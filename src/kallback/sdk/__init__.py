"""For Restate handlers: send tasks to Kafka workers, and wait durably for typed results.

The only package that imports `restate`.
"""

from kallback.protocol import Convention, MissingExtraError, Problem, RetryPolicy, TaskType

try:
    import restate as _restate
except ImportError as error:
    raise MissingExtraError('the sdk needs Restate and a Kafka client: pip install "kallback[sdk]"') from error

from kallback.sdk.callbacks import Callbacks
from kallback.sdk.errors import (
    CompletionRefused,
    InvalidResult,
    MonitorUnavailable,
    StaleResult,
    TaskCancelled,
    TaskError,
    TaskFailed,
    TaskNotSent,
    TaskTimedOut,
    UnknownTask,
)
from kallback.sdk.handle import TaskHandle
from kallback.sdk.journal.identity import UNSET, Unset
from kallback.sdk.journal.token_awakeables import TaskAwakeable
from kallback.sdk.monitoring.client import Progress
from kallback.sdk.monitoring.consumed_marks import ConsumedMarks
from kallback.sdk.monitoring.service import TaskMonitor
from kallback.sdk.services.completion import complete_awakeable, reject_awakeable
from kallback.sdk.services.notifier import NotifierService, Verdict

del _restate

__all__ = [
    "UNSET",
    "Callbacks",
    "CompletionRefused",
    "ConsumedMarks",
    "Convention",
    "InvalidResult",
    "MonitorUnavailable",
    "NotifierService",
    "Problem",
    "Progress",
    "RetryPolicy",
    "StaleResult",
    "TaskAwakeable",
    "TaskCancelled",
    "TaskError",
    "TaskFailed",
    "TaskHandle",
    "TaskMonitor",
    "TaskNotSent",
    "TaskTimedOut",
    "TaskType",
    "UnknownTask",
    "Unset",
    "Verdict",
    "complete_awakeable",
    "reject_awakeable",
]
