"""Ends and repeats attempts by hand, through Kafka: publishes what a worker or a caller would, and who did it.

    complete, fail ──► results topic         judged by the bridge like any result
    retry ──────────► results topic         hands the attempt back: the caller sends the next one at once
    cancel ─────────► control, results      stops the worker, then fails the task

The bridge verifies the token of the task, which is in its record; so completing and failing need no key here, except
for awakeables, which have no record (`answerable.py`). The outcome record says what became of it and who did it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from kallback.kafka import Headers, OutgoingRecord, Position, Producer
from kallback.operations.answerable import NoKeyError, NotAnswerableError, check_answerable
from kallback.protocol import (
    Cancel,
    CancelReason,
    DecodeError,
    Problem,
    TaskHeaders,
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

Clock = Callable[[], float]


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
        settings: of the environment. Its keys are needed for `cancel` only, which proves itself to workers.
        operator: is named in the outcome records.
        clock: seconds since the epoch.
    """

    def __init__(self, producer: Producer, settings: Settings, operator: Operator, *, clock: Clock = time.time) -> None:
        self._producer: Final = producer
        self._settings: Final = settings
        self._operator: Final = operator
        self._clock: Final = clock

    async def complete(self, task: TaskHeaders, value: bytes, task_type: TaskType[Any, Any] | None = None) -> Position:
        """Complete the task with a value, JSON; returns where its result record is.

        Args:
            task: the headers of the current attempt.
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
        return await self._answer(task, completed_headers(task.token), value)

    async def fail(self, task: TaskHeaders, problem: Problem) -> Position:
        """Fail the current attempt; the type's retry policy decides on another one. Raises as `complete`."""
        return await self._answer(task, failed_headers(task.token), problem.encode())

    async def retry(self, task: TaskHeaders, last_details: bytes = b"") -> Position:
        """Give the current attempt up, so that the caller sends the next one at once; it does not count as failed.

        Args:
            task: the headers of the current attempt.
            last_details: what the next attempt continues with, JSON; empty: what this attempt began with.

        Raises:
            NotAnswerableError: its caller takes no attempts back; otherwise as `complete`.
        """
        if not task.hand_back:
            raise NotAnswerableError(
                f"{task.task_type} has neither a retry policy nor heartbeats, so its caller sends no other "
                "attempt: complete the task or fail it"
            )
        return await self.fail(task, hand_back(last_details or task.last_details, ""))

    async def cancel(self, task: TaskHeaders, *, has_worker: bool = True) -> Position:
        """Tell the workers to stop, then fail the task with type `urn:kallback:cancelled-by-hand`, for good.

        Args:
            task: the headers of the current attempt.
            has_worker: tell the workers; none has an awakeable.

        Raises:
            NoKeyError: no key here proves the cancel to the workers; otherwise as `complete`.
        """
        if has_worker:
            await self._stop_worker(task)
        problem = Problem(CANCELLED_BY_HAND, _GONE, self._operator.sentence("cancelled"), retryable=False)
        return await self.fail(task, problem)

    async def _answer(self, task: TaskHeaders, headers: Headers, value: bytes) -> Position:
        check_answerable(task, self._settings, now_ms=self._clock() * 1000)
        key = task.task_id.encode()
        headers = (*headers, *self._operator.encode())
        return await self._producer.send(OutgoingRecord(task.reply_to, value, key, headers))

    async def _stop_worker(self, task: TaskHeaders) -> None:
        check_answerable(task, self._settings, now_ms=self._clock() * 1000)
        cancel = Cancel(task.task_id, CancelReason.CANCELLED, int(self._clock() * 1000), secret=self._secret(task))
        topic, operator = self._settings.topics.control, self._operator.encode()
        await self._producer.send(OutgoingRecord(topic, cancel.encode(), task.task_id.encode(), operator))

    def _secret(self, task: TaskHeaders) -> str | None:
        """The secret that proves a cancel of all attempts to the workers; None if they ask for none."""
        if task.cancel_hash is None:
            return None
        keyring = self._settings.keys.require()
        for key_id in keyring.key_ids:
            secret = cancel_secret(keyring, key_id, task.task_id, last_of_chain(task.attempt))
            if secret is not None and proves(secret, task.cancel_hash):
                return secret
        raise NoKeyError(
            f"no key here belongs to task {task.task_id}, so workers would not believe the cancel: set "
            "KALLBACK_KEYS as the service that sent the task has it, or fail the task instead"
        )


def _check_value(value: bytes, task: TaskHeaders, task_type: TaskType[Any, Any]) -> None:
    """Refuse a result that the handler could not read: the first result counts."""
    named = task.task_type
    if named != task_type.name:
        raise NotAnswerableError(f"the task is one of type {named}, not of {task_type.name}: nothing was sent")
    if (reason := misfit(value, task_type)) is not None:
        raise NotAnswerableError(reason)
