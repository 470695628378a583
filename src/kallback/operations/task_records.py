"""The task record behind a pending task, read from Kafka by its position: no group, nothing committed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from kallback.kafka import FindRecords, Position, Record
from kallback.operations.tasks import PendingTask
from kallback.protocol import (
    AccessDeniedError,
    InvalidTaskError,
    KallbackError,
    MissingTopicError,
    TaskHeaders,
    TaskId,
)

FindRecord = Callable[[Position], Awaitable[Record | None]]
"""Returns the record at a position; None if it does not exist any more."""


class NoTaskRecordError(KallbackError):
    """The task's record is not where the journal says."""

    has_entry = True


_NO_RECORD: Final = (NoTaskRecordError, MissingTopicError, AccessDeniedError)
"""What keeps one task's record from being read, while all else of the task is known."""


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
    record, headers, position = await _find_own(find, task)
    return TaskRecord(position, record.timestamp_ms, headers, record.key, record.value or b"")


async def find_task_record(find: FindRecord, task: PendingTask) -> Record | str:
    """Return the record of a pending task with all its headers; or, in a sentence, why it cannot be shown.

    Raises:
        KafkaUnavailableError: no broker answered in time.
    """
    try:
        return (await _find_own(find, task))[0]
    except _NO_RECORD as error:
        return str(error)


async def _find_own(find: FindRecord, task: PendingTask) -> tuple[Record, TaskHeaders, Position]:
    """Return the record at a task's position; raises as `read_task_record`."""
    if task.position is None:
        raise NoTaskRecordError(f"task {task.task_id} is an awakeable: Kafka has no record of it")
    record = await find(task.position)
    if record is None:
        raise _gone(task)
    return record, _checked(task, _decoded(record)), task.position


async def read_task_headers(
    find: FindRecords, tasks: Iterable[PendingTask]
) -> dict[TaskId, TaskHeaders | KallbackError]:
    """Return the headers of the records of some tasks of workers, or why they cannot be read: by id of the task.

    Nothing else of a record is kept. A topic that does not exist, or that may not be read, is told for each of its
    tasks.

    Raises:
        KafkaUnavailableError: no broker answered in time.
    """
    topics, found = defaultdict[str, list[PendingTask]](list), dict[TaskId, TaskHeaders | KallbackError]()
    for task in tasks:
        if task.position is not None:
            topics[task.position.topic].append(task)
    for own in topics.values():
        try:
            kept = await find([task.position for task in own if task.position is not None], _decoded)
        except (MissingTopicError, AccessDeniedError) as error:
            found |= {task.task_id: error for task in own}
        else:
            found |= {task.task_id: _own_headers(task, kept) for task in own}
    return found


def takes_attempts_back(record: Record | None) -> bool:
    """Whether the caller of a task sends another attempt if one is given up; of a record that is gone, maybe."""
    headers = None if record is None else _decoded(record)
    return not isinstance(headers, TaskHeaders) or headers.hand_back


def _own_headers(
    task: PendingTask, kept: Mapping[Position, TaskHeaders | InvalidTaskError]
) -> TaskHeaders | KallbackError:
    headers = None if task.position is None else kept.get(task.position)
    try:
        return _gone(task) if headers is None else _checked(task, headers)
    except NoTaskRecordError as error:
        return error


def _decoded(record: Record) -> TaskHeaders | InvalidTaskError:
    try:
        return TaskHeaders.decode(record.headers)
    except InvalidTaskError as error:
        return error


def _checked(task: PendingTask, headers: TaskHeaders | InvalidTaskError) -> TaskHeaders:
    """Return the headers that are where a task's record was put, if they are its own."""
    if isinstance(headers, InvalidTaskError):
        raise NoTaskRecordError(f"the record of task {task.task_id} cannot be read: {headers}")
    if (headers.task_id, headers.attempt) != (task.task_id, task.attempt):
        raise NoTaskRecordError(
            f"another record than that of task {task.task_id} is at {task.position}: "
            "the topic was created anew, and the task's record is gone"
        )
    return headers


def _gone(task: PendingTask) -> NoTaskRecordError:
    return NoTaskRecordError(
        f"the record of task {task.task_id} is not at {task.position} any more: "
        "the topic's retention removed it; make the retention longer than the longest deadline"
    )
