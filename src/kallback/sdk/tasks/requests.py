"""Tasks from requests: everything is checked and encoded before the first entry stands in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from restate import Context

from kallback.protocol import EncodeError, Problem, TaskType
from kallback.sdk.errors import BAD_REQUEST, UNENCODABLE_REQUEST, TaskNotSent
from kallback.sdk.journal.awakeables import start_timer
from kallback.sdk.journal.identity import IdentitySource, TaskIdentity
from kallback.sdk.tasks.state import Course
from kallback.sdk.tasks.task import Shared, Task, Timer

Request = TypeVar("Request")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class EncodedRequest(Generic[Result]):
    """A request that can be sent.

    Attributes:
        key: of the record; None for the task id.
    """

    task_type: TaskType[Any, Result]
    body: bytes
    key: bytes | None

    def task(self, identity: TaskIdentity, timer: Timer, limit: Timer) -> Task[Result]:
        """The task that it becomes."""
        own_key = identity.task_id.encode() if self.key is None else self.key
        return Task(self.task_type, self.body, own_key, identity, timer, limit)


def prepared(task_type: TaskType[Request, Result], request: Request, key: str | None) -> EncodedRequest[Result]:
    """Encode a request.

    Raises:
        TaskNotSent: it does not fit its type, or the key is no text.
    """
    return EncodedRequest(task_type, _encode(task_type, request), _encode_key(task_type, key))


def prepared_many(
    task_type: TaskType[Request, Result], requests: Sequence[Request], keys: Sequence[str | None] | None
) -> list[EncodedRequest[Result]]:
    """Encode many.

    Raises:
        TaskNotSent: one does not fit its type, or there is not a key for each.
    """
    if keys is not None and len(keys) != len(requests):
        raise _unencodable(task_type, f"there are {len(requests)} requests, but {len(keys)} keys: give one for each")
    texts = keys if keys is not None else [None] * len(requests)
    return [prepared(task_type, request, key) for request, key in zip(requests, texts, strict=True)]


async def course_of(
    ctx: Context, shared: Shared, identities: IdentitySource, request: EncodedRequest[Result], limit: timedelta | None
) -> Course[Result]:
    """Start the timer, create the identity, and open the first attempt; `limit` is the timeout of the whole task."""
    timer = start_timer(ctx, request.task_type.name, limit)
    identity = await identities.create(ctx, request.task_type, limit)
    first = start_limit(ctx, request.task_type, limit)
    return Course(ctx, shared, request.task(identity, timer, first))


async def courses_of(
    ctx: Context,
    shared: Shared,
    identities: IdentitySource,
    requests: Sequence[EncodedRequest[Result]],
    limit: timedelta | None,
) -> list[Course[Result]]:
    """The same for many tasks of one type: one clock, one step."""
    if not requests:
        return []
    task_type = requests[0].task_type
    timer = start_timer(ctx, task_type.name, limit)
    identity = await identities.create_many(ctx, task_type, limit, len(requests))
    first = start_limit(ctx, task_type, limit)
    tasks = [it.task(each, timer, first) for it, each in zip(requests, identity.each(), strict=True)]
    return [Course(ctx, shared, task) for task in tasks]


def start_limit(ctx: Context, task_type: TaskType[Any, Any], limit: timedelta | None) -> Timer:
    """The durable timer of a first attempt's own timeout; none where the task's ends it anyway."""
    own = task_type.attempt_timeout
    if own is None or (limit is not None and limit <= own):
        return None
    return ctx.sleep(own, f"attempt deadline {task_type.name}")


def _encode(task_type: TaskType[Request, Any], request: Request) -> bytes:
    try:
        return task_type.request_codec.encode(request)
    except EncodeError as error:
        raise _unencodable(task_type, f"the request of {task_type.name} was not sent: {error}") from None


def _encode_key(task_type: TaskType[Any, Any], key: str | None) -> bytes | None:
    try:
        return None if key is None else key.encode()
    except UnicodeEncodeError:
        raise _unencodable(task_type, "the key is no text that UTF-8 can carry: remove its lone surrogates") from None


def _unencodable(task_type: TaskType[Any, Any], detail: str) -> TaskNotSent:
    return TaskNotSent(Problem(UNENCODABLE_REQUEST, BAD_REQUEST, detail), task_type=task_type.name)
