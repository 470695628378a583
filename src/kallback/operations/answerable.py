"""Which pending tasks can be answered by hand, and with what: the headers of the task, which have its token.

a task of workers     its record in Kafka has them
an awakeable          Kafka has nothing of it, so its token is signed here, as the handler signed it
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from kallback.kafka import FindRecords
from kallback.operations.task_records import FindRecord, read_task_headers, read_task_record
from kallback.operations.tasks import PendingTask
from kallback.protocol import ConfigurationError, KallbackError, TaskHeaders, TaskId, Token
from kallback.protocol.awakeables import AwakeablePlace, awakeable_at
from kallback.protocol.tokens import NO_DEADLINE
from kallback.settings import Settings

_CLOCK_MS: Final = 5_000
"""As much as clocks may differ. Bridges deliver a result for longer, but its handler has had its timeout by then."""


class NotAnswerableError(KallbackError):
    """This cannot be done to this task; the sentence says what can."""

    has_entry = True


class NoKeyError(ConfigurationError):
    """No key here belongs to this task; with the keys of its service it could be done."""

    has_entry = True


async def answer_headers(find: FindRecord, task: PendingTask, settings: Settings) -> TaskHeaders:
    """Return the headers of the current attempt; an answer needs nothing else.

    Raises:
        NotAnswerableError: the task is between two attempts.
        NoTaskRecordError: Kafka does not have its record any more.
        NoKeyError: it is an awakeable, and there is no key here to sign a token with.
        MissingTopicError, AccessDeniedError, KafkaUnavailableError: of Kafka.
    """
    check_current(task, settings)
    if task.signal is not None:
        return _signed(task, task.signal, settings)
    return (await read_task_record(find, task)).headers


async def answer_headers_of(
    find: FindRecords, tasks: Iterable[PendingTask], settings: Settings
) -> dict[TaskId, TaskHeaders | KallbackError]:
    """Return the headers with which many tasks are answered, or why one cannot be: by id, as `answer_headers`.

    Raises:
        KafkaUnavailableError: no broker answered in time.
    """
    found, of_workers = dict[TaskId, TaskHeaders | KallbackError](), list[PendingTask]()
    for task in tasks:
        try:
            check_current(task, settings)
            if task.signal is None:
                of_workers.append(task)
            else:
                found[task.task_id] = _signed(task, task.signal, settings)
        except (NotAnswerableError, NoKeyError) as error:
            found[task.task_id] = error
    return found | await read_task_headers(find, of_workers)


def _signed(task: PendingTask, signal: int, settings: Settings) -> TaskHeaders:
    """The headers of an awakeable, with a token that is signed here."""
    if (reason := missing_key(task, settings)) is not None:
        raise NoKeyError(reason)
    place, deadline_ms = AwakeablePlace(task.invocation.id, signal), task.deadline_ms
    token = Token(task.task_type, task.task_id, task.attempt, awakeable_at(place), deadline_ms or NO_DEADLINE)
    signed = settings.keys.require().sign(token, settings.keys.audience)
    return TaskHeaders(signed, task.task_id, task.attempt, task.task_type, settings.topics.results, deadline_ms)


def missing_key(task: PendingTask, settings: Settings) -> str | None:
    """Why no answer can be signed for an awakeable, and what to do; None if one can, or if none must be."""
    if task.signal is None or settings.keys.keyring is not None or settings.keys.insecure:
        return None
    return (
        f"task {task.task_id} is an awakeable: Kafka has no record with its token, and no key is here to sign one. Set "
        "KALLBACK_KEYS as its service has it, or answer with the token that the handler handed out (kallback complete, "
        "or its link)"
    )


def check_answerable(task: TaskHeaders, settings: Settings, *, now_ms: float) -> None:
    """Refuse what a bridge of this environment would not take.

    Raises:
        NotAnswerableError: the deadline has passed, or the task's results go to another topic.
    """
    if task.reply_to not in settings.topics.all_results:
        raise NotAnswerableError(
            f"the results of task {task.task_id} go to {task.reply_to}, but this environment reads "
            f"{', '.join(settings.topics.all_results)}: use the settings of the task's environment"
        )
    if task.deadline_ms is not None and task.deadline_ms + _CLOCK_MS < now_ms:
        raise NotAnswerableError(
            f"the deadline of task {task.task_id} has passed: its handler does not wait for it any more"
        )


def check_current(task: PendingTask, settings: Settings) -> None:
    """Refuse a task between two attempts: its handler waits for a timer then, and an answer would change nothing.

    Raises:
        NotAnswerableError: the attempt has failed; the sentence says when the next one is sent, and what ends the task.
    """
    if task.next_attempt_ms is None:
        return
    raise NotAnswerableError(
        f"attempt {task.attempt} of task {task.task_id} has failed, and its handler sends attempt {task.attempt + 1} "
        f"{_at(task.next_attempt_ms)}: until then it waits for a timer and takes no answer, so nothing was sent. Do it "
        "again then; or cancel the invocation, which ends all that its handler does: "
        f"{cancel_command(task.invocation.id, settings)}"
    )


def _at(epoch_ms: int) -> str:
    """A time of a journal; that of another service may lie beyond the calendar (year 9999)."""
    try:
        return f"at {datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec='seconds')}"
    except (OverflowError, ValueError, OSError):
        return "after the year 9999"


def check_repeatable(task: PendingTask) -> None:
    """Refuse to repeat what has one attempt.

    Raises:
        NotAnswerableError: it is an awakeable.
    """
    if task.signal is not None:
        raise NotAnswerableError(
            f"task {task.task_id} is an awakeable, which has one attempt and no worker: complete it, fail it, or hand "
            f"its link out again (kallback tasks link {task.task_id})"
        )


def cancel_command(invocation_id: str, settings: Settings) -> str:
    """The command that cancels an invocation, without what its address may have for the login."""
    parts = urlsplit(settings.restate.admin_url)
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
    return f"curl -X PATCH {address}/invocations/{invocation_id}/cancel"
