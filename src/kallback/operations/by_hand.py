"""Ends and repeats attempts by hand, through Kafka: publishes what a worker or a caller would, and who did it.

    complete, fail ──► results topic         judged by the bridge like any result
    retry ──────────► results topic         hands the attempt back: the caller sends the next one at once
    cancel ─────────► control, results      stops the worker, then fails the task

The bridge verifies the token of the task, which is in its record; so completing and failing need no key here. The
outcome record says what became of it, and names the operator.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from kallback.kafka import Headers, OutgoingRecord, Position, Producer
from kallback.operations.task_records import TaskRecord
from kallback.operations.tasks import PendingTask
from kallback.protocol import (
    Cancel,
    CancelReason,
    ConfigurationError,
    DecodeError,
    KallbackError,
    Problem,
    TaskType,
    check_json,
    completed_headers,
    failed_headers,
)
from kallback.protocol.by_hand import Operator
from kallback.protocol.cancel_secrets import cancel_secret, last_of_chain, proves
from kallback.protocol.long_tasks.hand_backs import hand_back
from kallback.protocol.problems import CANCELLED_BY_HAND
from kallback.settings import Settings

_GONE: Final = 410
"""The status of a task that was cancelled by hand. Not 409: that is how Restate cancels an invocation."""
_GRACE_MS: Final = 30_000
"""As long after its deadline as a bridge takes a result."""

Clock = Callable[[], float]


class NotAnswerableError(KallbackError):
    """This cannot be done to this task; the sentence says what can."""


def misfit(result: bytes, task_type: TaskType[Any, Any]) -> str | None:
    """Why a handler could not read a result of this type; None if it could."""
    try:
        task_type.result_codec.decode(result)
    except DecodeError as error:
        return f"the result does not fit task type {task_type.name}, nothing was sent: it {error}"
    return None


class ByHand:
    """What one operator does to tasks.

    Args:
        producer: started by its owner.
        settings: of the environment. Its keys are needed for `cancel` only.
        operator: is named in the outcome records.
        clock: seconds since the epoch.
    """

    def __init__(self, producer: Producer, settings: Settings, operator: Operator, *, clock: Clock = time.time) -> None:
        self._producer: Final = producer
        self._settings: Final = settings
        self._operator: Final = operator
        self._clock: Final = clock

    async def complete(self, task: TaskRecord, value: bytes, task_type: TaskType[Any, Any] | None = None) -> Position:
        """Complete the task with a value, JSON; returns where its result record is.

        Args:
            task: the record of the current attempt.
            value: the result.
            task_type: the value must fit it; None: it is not checked.

        Raises:
            NotAnswerableError: the value is not JSON or does not fit, the deadline has passed, or its results go to
                another topic.
            KafkaUnavailableError, AccessDeniedError, MissingTopicError, RecordTooLargeError: of Kafka.
        """
        try:
            check_json(value)
        except DecodeError as error:
            raise NotAnswerableError(f"the result is {error}: nothing was sent") from None
        if task_type is not None:
            _check_value(value, task, task_type)
        return await self._answer(task, completed_headers(task.headers.token), value)

    async def fail(self, task: TaskRecord, problem: Problem) -> Position:
        """Fail the current attempt; the type's retry policy decides on another one. Raises as `complete`."""
        return await self._answer(task, failed_headers(task.headers.token), problem.encode())

    async def retry(self, task: TaskRecord, last_details: bytes = b"") -> Position:
        """Give the current attempt up, so that the caller sends the next one at once; it does not count as failed.

        Args:
            task: the record of the current attempt.
            last_details: what the next attempt continues with, JSON; empty: what this attempt began with.

        Raises:
            NotAnswerableError: its caller takes no attempts back; otherwise as `complete`.
        """
        if not task.headers.hand_back:
            raise NotAnswerableError(
                f"{task.headers.task_type} has neither a retry policy nor heartbeats, so its caller sends no other "
                "attempt: complete the task or fail it"
            )
        return await self.fail(task, hand_back(last_details or task.headers.last_details, ""))

    async def cancel(self, task: TaskRecord) -> Position:
        """Tell the workers to stop, then fail the task with type `urn:kallback:cancelled-by-hand`, for good.

        Raises:
            ConfigurationError: no key here proves the cancel to the workers; otherwise as `complete`.
        """
        headers = task.headers
        check_answerable(task, self._settings, now_ms=self._clock() * 1000)
        cancel = Cancel(headers.task_id, CancelReason.CANCELLED, int(self._clock() * 1000), secret=self._secret(task))
        await self._producer.send(
            OutgoingRecord(
                self._settings.topics.control, cancel.encode(), headers.task_id.encode(), self._operator.encode()
            )
        )
        problem = Problem(CANCELLED_BY_HAND, _GONE, self._operator.sentence("cancelled"), retryable=False)
        return await self.fail(task, problem)

    async def _answer(self, task: TaskRecord, headers: Headers, value: bytes) -> Position:
        check_answerable(task, self._settings, now_ms=self._clock() * 1000)
        key = task.headers.task_id.encode()
        headers = (*headers, *self._operator.encode())
        return await self._producer.send(OutgoingRecord(task.headers.reply_to, value, key, headers))

    def _secret(self, task: TaskRecord) -> str | None:
        """The secret that proves a cancel of all attempts to the workers; None if they ask for none."""
        headers = task.headers
        if headers.cancel_hash is None:
            return None
        keyring = self._settings.keys.require()
        for key_id in keyring.key_ids:
            secret = cancel_secret(keyring, key_id, headers.task_id, last_of_chain(headers.attempt))
            if secret is not None and proves(secret, headers.cancel_hash):
                return secret
        raise ConfigurationError(
            f"no key here belongs to task {headers.task_id}, so workers would not believe the cancel: set "
            "KALLBACK_KEYS as the service that sent the task has it, or fail the task instead"
        )


def check_answerable(task: TaskRecord, settings: Settings, *, now_ms: float) -> None:
    """Refuse what a bridge of this environment would not take.

    Raises:
        NotAnswerableError: the deadline has passed, or the task's results go to another topic.
    """
    reply_to, deadline_ms = task.headers.reply_to, task.headers.deadline_ms
    if reply_to not in settings.topics.all_results:
        raise NotAnswerableError(
            f"the results of task {task.headers.task_id} go to {reply_to}, but this environment reads "
            f"{', '.join(settings.topics.all_results)}: use the settings of the task's environment"
        )
    if deadline_ms is not None and deadline_ms + _GRACE_MS < now_ms:
        raise NotAnswerableError(
            f"the deadline of task {task.headers.task_id} has passed: its handler does not wait for it any more"
        )


def check_current(task: PendingTask, settings: Settings) -> None:
    """Refuse a task between two attempts: its handler waits for a timer then, and an answer would change nothing.

    Raises:
        NotAnswerableError: the attempt has failed; the sentence says when the next one is sent, and what ends the task.
    """
    if task.next_attempt_ms is None:
        return
    at = datetime.fromtimestamp(task.next_attempt_ms / 1000, UTC).isoformat(timespec="seconds")
    raise NotAnswerableError(
        f"attempt {task.attempt} of task {task.task_id} has failed, and its handler sends attempt {task.attempt + 1} "
        f"at {at}: until then it waits for a timer and takes no answer, so nothing was sent. Do it again then; or "
        f"cancel the invocation, which ends all that its handler does: {cancel_command(task.invocation.id, settings)}"
    )


def cancel_command(invocation_id: str, settings: Settings) -> str:
    """The command that cancels an invocation, without what its address may have for the login."""
    parts = urlsplit(settings.restate.admin_url)
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
    return f"curl -X PATCH {address}/invocations/{invocation_id}/cancel"


def _check_value(value: bytes, task: TaskRecord, task_type: TaskType[Any, Any]) -> None:
    """Refuse a result that the handler could not read: the first result counts."""
    named = task.headers.task_type
    if named != task_type.name:
        raise NotAnswerableError(f"the task is one of type {named}, not of {task_type.name}: nothing was sent")
    if (reason := misfit(value, task_type)) is not None:
        raise NotAnswerableError(reason)
