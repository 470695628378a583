"""The task record behind a pending task, read from Kafka by its position: one record, no group, nothing committed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from kallback.kafka import Position, Record
from kallback.operations.tasks import PendingTask
from kallback.protocol import InvalidTaskError, KallbackError, TaskHeaders

FindRecord = Callable[[Position], Awaitable[Record | None]]
"""Returns the record at a position; None if it does not exist any more."""


class NoTaskRecordError(KallbackError):
    """The task's record is not where the journal says."""

    has_entry = True


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """The record of the current attempt of a task. Its headers have the token; key and request are hidden in repr."""

    position: Position
    timestamp_ms: int
    headers: TaskHeaders
    key: bytes | None = field(repr=False)
    request: bytes = field(repr=False)


async def read_task_record(find: FindRecord, task: PendingTask) -> TaskRecord:
    """Return the record of a pending task.

    Raises:
        NoTaskRecordError: Kafka does not have it any more, or has another record there.
        MissingTopicError, AccessDeniedError, KafkaUnavailableError: of Kafka.
    """
    at = task.position
    if at is None:
        raise NoTaskRecordError(f"task {task.task_id} is an awakeable: Kafka has no record of it")
    record = await find(at)
    if record is None:
        raise NoTaskRecordError(
            f"the record of task {task.task_id} is not at {at} any more: "
            "the topic's retention removed it; make the retention longer than the longest deadline"
        )
    try:
        headers = TaskHeaders.decode(record.headers)
    except InvalidTaskError as error:
        raise NoTaskRecordError(f"the record of task {task.task_id} cannot be read: {error}") from None
    if (headers.task_id, headers.attempt) != (task.task_id, task.attempt):
        raise NoTaskRecordError(
            f"another record than that of task {task.task_id} is at {at}: "
            "the topic was created anew, and the task's record is gone"
        )
    return TaskRecord(at, record.timestamp_ms, headers, record.key, record.value or b"")
