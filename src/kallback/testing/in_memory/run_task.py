"""Runs a worker function on one task, without Kafka. Its input and its caller's result are the real ones.

The request is encoded as the sdk does, and the decision on the record is the worker's; the result is encoded as a
worker does and decoded as the sdk does. Kafka and the bridge are left out.

A function with executor "process" runs in a thread here: nothing is pickled, and a crash of it is a crash of the test.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

from kallback.kafka import Record
from kallback.protocol import Attempt, Failed, InvalidTaskError, TaskHeaders, TaskId, TaskType
from kallback.protocol.results import NULL, Status
from kallback.workers import Executor, StopReason, TaskFailure, Worker
from kallback.workers.attempts.decide import Reject, Rules, Run, decide
from kallback.workers.attempts.heartbeats import LastDetails
from kallback.workers.attempts.reply_policy import ReplyPolicy
from kallback.workers.attempts.results import Reply, failed_reply, reply_for
from kallback.workers.context import context_of, decode_details, encode_details
from kallback.workers.errors import failure_of
from kallback.workers.execution.function_call import FunctionCall
from kallback.workers.execution.outcomes import Raised
from kallback.workers.registration.functions import TaskFunction

Request = TypeVar("Request")
Result = TypeVar("Result")

_NO_TOKEN: Final = "kb1:none"  # noqa: S105 - a place holder: nothing verifies it here
_NO_TOPIC: Final = "none"
_ANY_TOPIC: Final = ReplyPolicy(allowed=frozenset({"*"}))


@dataclass(frozen=True, slots=True)
class TaskRun(Generic[Result]):
    """The result of one call of a worker function.

    Attributes:
        result: as the caller gets it, encoded and decoded by the codec.
        heartbeats: the details of each heartbeat, in order; None for one without.
    """

    result: Result
    heartbeats: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Worked:
    """The reply of a worker, and the exception that caused a failed one."""

    reply: Reply
    error: BaseException | None = None


async def run_task(
    worker: Worker,
    task_type: TaskType[Request, Result],
    request: Request,
    *,
    attempt: int = 1,
    last_details: Any = None,
    task_id: str = "task-1",
    timeout: timedelta | None = None,  # noqa: ASYNC109 - the task's, which the function reads in its context
) -> TaskRun[Result]:
    """Run the worker's function for a task type on one task, as the worker would.

        run = await run_task(worker, prepare, Order("pizza"))
        assert run.result == Prepared("B3")

    Args:
        worker: where the function is registered; it is not started.
        task_type: which of its functions.
        request: what the caller would send.
        attempt: of the task, from 1.
        last_details: the heartbeat details of the attempt before.
        task_id: the function's idempotency key.
        timeout: from now until the deadline that the function sees; by default it sees none.

    Raises:
        TaskFailure: what the caller would get: the function's own, one for an unexpected exception (its
            `__cause__`), or one for a value that does not fit the result type.
        EncodeError: the request does not fit its type.
        DecodeError: what the function returned cannot be read as the declared result.
        ConfigurationError: the worker has no function for the type.
    """
    function = worker.function_of(task_type)
    deadline_ms = None if timeout is None else int((time.time() + timeout.total_seconds()) * 1000)
    headers = TaskHeaders(
        token=_NO_TOKEN,
        task_id=TaskId(task_id),
        attempt=Attempt(attempt),
        task_type=task_type.name,
        reply_to=_NO_TOPIC,
        deadline_ms=deadline_ms,
        last_details=encode_details(last_details),
    )
    body = task_type.request_codec.encode(request)
    beats: list[bytes] = []
    worked = await work_on(function, Record(task_type.topic, 0, 0, 0, None, body, headers.encode()), beats)
    value = worked.reply.record.value or NULL
    if worked.reply.status is Status.FAILED:
        raise _failure(value) from worked.error
    return TaskRun(task_type.result_codec.decode(value), tuple(map(decode_details, beats)))


async def work_on(function: TaskFunction, record: Record, beats: list[bytes]) -> Worked:
    """Do one task record; deadlines are the function's to mind, as the record was just sent.

    Raises:
        InvalidTaskError: it is no task for this function.
    """
    verdict = decide(record, Rules({function.task_type.name: function}, _ANY_TOPIC), now_ms=0)
    if isinstance(verdict, Reject):
        return Worked(failed_reply(verdict.headers, verdict.problem))
    if not isinstance(verdict, Run):
        raise InvalidTaskError(f"{record!r} is no task for {function.name}: {verdict}")
    details = LastDetails(verdict.headers.last_details, beats.append)
    context = context_of(verdict.headers, on_heartbeat=details.record)
    call = FunctionCall(_without_process(function), verdict.request, context)
    try:
        outcome = await call.outcome()
    except asyncio.CancelledError:
        call.stop(StopReason.CANCELLED)
        if function.executor is Executor.LOOP and call.running is not None:
            await asyncio.wait({call.running})
        raise
    reply = reply_for(outcome, verdict.headers, function, details.newest, expose_tracebacks=False)
    return Worked(reply, outcome.error if isinstance(outcome, Raised) else None)


def _without_process(function: TaskFunction) -> TaskFunction:
    return replace(function, executor=Executor.THREAD) if function.executor is Executor.PROCESS else function


def _failure(value: bytes) -> TaskFailure:
    return failure_of(Failed(value).problem())
