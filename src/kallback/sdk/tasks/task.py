"""The parts of a task that all its attempts share: the encoded request, the identity, the deadline's timer.

Everything is checked and encoded before the first entry is in the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

from restate import Context, RestateDurableFuture

from kallback.lifecycle import LogThrottle
from kallback.protocol import HEARTBEAT_LOST, Attempt, EncodeError, Problem, RetryAfter, TaskId, TaskType
from kallback.protocol.tokens import FIRST_ATTEMPT
from kallback.sdk.arguments import check_key, check_sequence
from kallback.sdk.errors import BAD_REQUEST, GATEWAY_TIMEOUT, UNENCODABLE_REQUEST, TaskNotSent
from kallback.sdk.journal.awakeables import Signing, start_timer
from kallback.sdk.journal.identity import Clock, IdentitySource, TaskIdentity
from kallback.sdk.journal.publish import TaskPublisher
from kallback.sdk.monitoring.client import MonitorCalls
from kallback.sdk.observability.observer import TaskObserver

Request = TypeVar("Request")
Result = TypeVar("Result")
Timer = RestateDurableFuture[None] | None
_LOST: Final = Problem(HEARTBEAT_LOST, GATEWAY_TIMEOUT, retryable=True)


@dataclass(frozen=True, slots=True)
class TaskDependencies:
    """What every task of one `Callbacks` uses.

    Attributes:
        setup_timeout: how long a task waits for a topic or a permission that is missing.
        log: for what many tasks have in common.
    """

    publisher: TaskPublisher
    signing: Signing
    control_topic: str
    clock: Clock
    monitor: MonitorCalls
    setup_timeout: timedelta
    log: LogThrottle
    observer: TaskObserver


@dataclass(frozen=True, slots=True)
class TaskSpec(Generic[Result]):
    """What all attempts of one task share.

    Attributes:
        request: encoded, so that duplicates are byte-identical.
        key: of the record: the caller's, which decides the partition, or the task id.
        spread: whether the record may go to any partition: the caller chose no key.
        timer: of the deadline.
        first_limit: timer of the first attempt's own timeout.
    """

    task_type: TaskType[Any, Result]
    request: bytes
    key: bytes
    identity: TaskIdentity
    timer: Timer
    first_limit: Timer = None
    spread: bool = False


@dataclass(frozen=True, slots=True)
class TaskValue(Generic[Result]):
    """A task ended with this value."""

    value: Result


@dataclass(frozen=True, slots=True)
class EncodedRequest(Generic[Result]):
    """A request that can be sent.

    Attributes:
        key: of the record; None for the task id.
    """

    task_type: TaskType[Any, Result]
    body: bytes
    key: bytes | None

    def spec(self, identity: TaskIdentity, timer: Timer, limit: Timer) -> TaskSpec[Result]:
        """The task of this request."""
        own_key = identity.task_id.encode() if self.key is None else self.key
        return TaskSpec(self.task_type, self.body, own_key, identity, timer, limit, spread=self.key is None)


def task_label(task_type: str, task_id: TaskId, attempt: Attempt) -> str:
    """One attempt of a task in the names of journal entries, by which people and tools find it in Restate."""
    suffix = "" if attempt == FIRST_ATTEMPT else f" attempt {attempt}"
    return f"{task_type} {task_id}{suffix}"


def pause_name(task_type: str, identity: TaskIdentity, failed: Attempt) -> str:
    """The name of the timer after an attempt, as the journal has it: with the task's id since 0.1.0."""
    if identity.names_pauses:
        return f"back off {task_label(task_type, identity.task_id, failed)}"
    return f"back off {task_type}" + ("" if failed == FIRST_ATTEMPT else f" attempt {failed}")


def takes_back(task_type: TaskType[Any, Any]) -> bool:
    """Whether a worker that stops may hand an attempt back: where a handler acts before the task's end anyway.

    Tasks of other types are short: Kafka delivers them again, and their handlers are not resumed for it.
    """
    return task_type.monitored or task_type.retry is not None


def retries_lost(task_type: TaskType[Any, Any], attempt: Attempt) -> bool:
    """Whether another attempt follows if the heartbeats of this one stop. If not, only a redelivery continues it.

    The number of the attempt is the one among those that count.
    """
    if task_type.heartbeat_every is None or task_type.retry is None:
        return False
    return isinstance(task_type.retry.after(attempt, _LOST), RetryAfter)


def encode_request(task_type: TaskType[Request, Result], request: Request, key: str | None) -> EncodedRequest[Result]:
    """Encode a request.

    Raises:
        TaskNotSent: the request does not fit its type, or the key is no text that UTF-8 can carry.
    """
    return _encode(task_type, request, key)


def encode_requests(
    task_type: TaskType[Request, Result], requests: Sequence[Request], keys: Sequence[str | None] | None
) -> list[EncodedRequest[Result]]:
    """Encode many requests.

    Raises:
        TaskNotSent: a request does not fit its type, a key is no text that UTF-8 can carry, or the number of keys is
            not the number of requests. It names the first one that is wrong.
    """
    check_sequence(task_type.name, "requests", requests)
    if keys is not None:
        check_sequence(task_type.name, "keys", keys)
    if keys is not None and len(keys) != len(requests):
        raise _unencodable(task_type, f"there are {len(requests)} requests, but {len(keys)} keys: give one for each")
    texts = keys if keys is not None else [None] * len(requests)
    return [
        _encode(task_type, request, key, f"[{index}]")
        for index, (request, key) in enumerate(zip(requests, texts, strict=True))
    ]


async def create_task(
    ctx: Context, identities: IdentitySource, request: EncodedRequest[Result], limit: timedelta | None
) -> TaskSpec[Result]:
    """Start the deadline's timer and create the task's identity; `limit` is the timeout of the whole task."""
    timer = start_timer(ctx, request.task_type.name, limit)
    identity = await identities.create(ctx, request.task_type, limit)
    return request.spec(identity, timer, _start_attempt_timer(ctx, request.task_type, limit))


async def create_tasks(
    ctx: Context, identities: IdentitySource, requests: Sequence[EncodedRequest[Result]], limit: timedelta | None
) -> list[TaskSpec[Result]]:
    """The same for many tasks of one type: one timer and one step for all."""
    if not requests:
        return []
    task_type = requests[0].task_type
    timer = start_timer(ctx, task_type.name, limit)
    created = await identities.create_many(ctx, task_type, limit, len(requests))
    attempt_timer = _start_attempt_timer(ctx, task_type, limit)
    return [it.spec(identity, timer, attempt_timer) for it, identity in zip(requests, created.each(), strict=True)]


def _start_attempt_timer(ctx: Context, task_type: TaskType[Any, Any], limit: timedelta | None) -> Timer:
    """The timer of a first attempt's own timeout; none where the task's deadline comes first."""
    own = task_type.attempt_timeout
    if own is None or (limit is not None and limit <= own):
        return None
    return ctx.sleep(own, f"attempt deadline {task_type.name}")


def _encode(
    task_type: TaskType[Request, Result], request: Request, key: str | None, at: str = ""
) -> EncodedRequest[Result]:
    """Encode a request; `at` is its place among many, for the sentence of an error."""
    check_key(task_type.name, key, name=f"keys{at}" if at else "key")
    try:
        body = task_type.request_codec.encode(request)
    except EncodeError as error:
        which = f"requests{at}" if at else "the request"
        raise _unencodable(task_type, f"{which} of {task_type.name} was not sent: {error}") from None
    try:
        return EncodedRequest(task_type, body, None if key is None else key.encode())
    except UnicodeEncodeError:
        which = f"keys{at}" if at else "the key"
        raise _unencodable(task_type, f"{which} cannot be encoded as UTF-8: remove its lone surrogates") from None


def _unencodable(task_type: TaskType[Any, Any], detail: str) -> TaskNotSent:
    return TaskNotSent(Problem(UNENCODABLE_REQUEST, BAD_REQUEST, detail), task_type=task_type.name)
