"""Results: what the caller is told, and sending it until Kafka has it.

`reply_for` is pure: from how a function ended to the result record. The `ResultPublisher` sends. While Kafka is
unavailable it tries again for as long as the worker runs, and the task counts as in flight: so a long outage stops the
fetching and loses nothing. Cancelling (at the end of a drain) stops the waiting; the record may still be written, which
is the at-least-once of this hop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kallback.kafka import SMALL_RECORD_BYTES, DeadLetters, OutgoingRecord, Producer, Record, SummaryBuilder
from kallback.lifecycle import Backoff, retry
from kallback.protocol.errors import ConfigurationError, EncodeError, RecordTooLargeError
from kallback.protocol.headers import TRACEPARENT, TRACESTATE
from kallback.protocol.long_tasks.last_details import with_details, without_details
from kallback.protocol.problems import Problem
from kallback.protocol.results import Status, completed_headers, failed_headers
from kallback.protocol.tasks import TaskHeaders
from kallback.workers.attempts.dead_letter_reason import DeadLetterReason
from kallback.workers.errors import encode_problem, misfit_problem, problem_of, too_large_problem
from kallback.workers.execution.outcomes import CallOutcome, Returned
from kallback.workers.logs import guarded_logger
from kallback.workers.registration.functions import TaskFunction

logger = guarded_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """A result record to be sent, and what it says.

    Attributes:
        smaller: what is sent if Kafka refuses the record for its size: the same without last details.
    """

    status: Status
    record: OutgoingRecord
    smaller: Reply | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """Kafka has the result."""

    status: Status


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """The reply topic of this task can never take the result; the sentence says why."""

    detail: str


def reply_for(
    outcome: CallOutcome, headers: TaskHeaders, function: TaskFunction, details: bytes, *, expose_tracebacks: bool
) -> Reply:
    """Say what the caller is told.

    A failure carries the newest details of the attempt, or of those before it, if its caller takes them: the next
    attempt continues there, whenever the heartbeat with them arrives.
    """
    if not isinstance(outcome, Returned):
        problem = problem_of(outcome.error, expose_tracebacks=expose_tracebacks)
        return failed_reply(headers, with_details(problem, details) if headers.hand_back else problem)
    try:
        value = function.task_type.result_codec.encode(outcome.value)
    except EncodeError as error:
        return failed_reply(headers, misfit_problem(headers.task_type, function.name, str(error)))
    record = OutgoingRecord(
        headers.reply_to, value, headers.task_id.encode(), _echo(completed_headers(headers.token), headers)
    )
    return Reply(Status.COMPLETED, record)


def failed_reply(headers: TaskHeaders, problem: Problem) -> Reply:
    """A failed result."""
    value, bare = encode_problem(problem), without_details(problem)
    record = OutgoingRecord(
        headers.reply_to, value, headers.task_id.encode(), _echo(failed_headers(headers.token), headers)
    )
    return Reply(Status.FAILED, record, smaller=None if bare is problem else failed_reply(headers, bare))


def _echo(own: tuple[tuple[str, bytes], ...], headers: TaskHeaders) -> tuple[tuple[str, bytes], ...]:
    """A result belongs to the trace of its task, so that the bridge's span does."""
    trace = ((TRACEPARENT, headers.traceparent), (TRACESTATE, headers.tracestate))
    return (*own, *((name, value.encode()) for name, value in trace if value is not None))


class ResultPublisher:
    """Sends results and dead letters.

    Args:
        producer: of the results.
        dead_letters: of records that cannot be done.
        own_topics: topics of this installation. What is wrong with one of them is an operator's to mend, so sending
            goes on; what is wrong with any other topic is that one task's trouble.
        backoff: between tries.
    """

    def __init__(
        self, producer: Producer, dead_letters: DeadLetters, own_topics: frozenset[str], backoff: Backoff
    ) -> None:
        self._producer: Final = producer
        self._dead_letters: Final = dead_letters
        self._own_topics: Final = own_topics
        self._backoff: Final = backoff

    async def publish(self, headers: TaskHeaders, reply: Reply) -> Published | Undeliverable:
        """Send a result; one that is too large goes without last details, or becomes a failed result that says so.

        If a topic of this installation takes not even a small one, its options are wrong: then sending goes on.
        """
        try:
            return await self._send(reply)
        except RecordTooLargeError:
            size = len(reply.record.value or b"")
        if reply.smaller is not None:
            return await self.publish(headers, reply.smaller)
        smaller = failed_reply(headers, too_large_problem(size, headers.reply_to))
        try:
            return await self._send(smaller)
        except RecordTooLargeError as error:
            return Undeliverable(str(error))

    async def dead_letter(self, record: Record, reason: DeadLetterReason, detail: str) -> None:
        """Dead-letter a record; return when Kafka has it."""
        await retry(
            lambda: self._dead_letters.publish(record, reason, detail),
            self._backoff,
            errors=Exception,
            on_failure=_log_retry,
        )

    async def dead_letter_summary(
        self, summary: SummaryBuilder, reason: DeadLetterReason, detail: str, *, sample: bool
    ) -> None:
        """Dead-letter all records of a summary; return when Kafka has it."""
        await retry(
            lambda: self._dead_letters.publish_summary(summary, reason, detail, sample=sample),
            self._backoff,
            errors=Exception,
            on_failure=_log_retry,
        )

    async def _send(self, reply: Reply) -> Published | Undeliverable:
        def on_failure(error: Exception, delay: float) -> None:
            """Continue after an unexpected error: the task's outcome must not be lost."""
            is_foreign = reply.record.topic not in self._own_topics
            is_too_large = isinstance(error, RecordTooLargeError)
            if (is_too_large and reply.record.size > SMALL_RECORD_BYTES) or (
                is_foreign and (is_too_large or isinstance(error, ConfigurationError))
            ):
                raise error
            _log_retry(error, delay)

        try:
            await retry(
                lambda: self._producer.send(reply.record), self._backoff, errors=Exception, on_failure=on_failure
            )
        except ConfigurationError as error:
            return Undeliverable(str(error))
        return Published(reply.status)


def _log_retry(error: Exception, delay: float) -> None:
    if isinstance(error, ConfigurationError | RecordTooLargeError):
        return  # a refusal of an own topic, of which `RefusedWrites` writes one line a minute
    logger.warning("not published, the next try is in %.1f s: %s", delay, str(error) or repr(error))
