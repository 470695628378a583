"""The wire as users write it: type checkers must infer what this file asserts. Never run, only checked."""

from dataclasses import dataclass
from datetime import timedelta
from types import NoneType
from typing import Generic, Literal, TypedDict, TypeVar, assert_never, assert_type

import msgspec
import pydantic

from kallback.protocol import (
    Answer,
    Attempt,
    AwakeableId,
    Cancel,
    CancelReason,
    Codec,
    Completed,
    Envelope,
    Failed,
    GiveUp,
    Heard,
    Keyring,
    Marks,
    Outcome,
    OutcomeRecord,
    Problem,
    ProgressRecord,
    Report,
    ResultRecord,
    Retry,
    RetryAfter,
    RetryPolicy,
    Signal,
    SourcePosition,
    TaskHeaders,
    TaskId,
    TaskProgress,
    TaskType,
    Token,
    check_json,
    checked_details,
    completed_headers,
    failed_headers,
    open_envelope,
    parse_awakeable_id,
    progress_headers,
    read_progress,
    read_result,
    seal,
    shorten,
    task_id_of,
    values_of,
)

Item = TypeVar("Item")


@dataclass(frozen=True)
class Order:
    """A request."""

    id: str


class Prepared(msgspec.Struct):
    """A result."""

    minutes: int


class Address(TypedDict):
    """A request as a plain dict."""

    street: str


class Route(pydantic.BaseModel):
    """A result that pydantic validates."""

    kilometers: float


@dataclass
class Page(Generic[Item]):
    """A generic request."""

    items: list[Item]


prepare = TaskType("restaurant.prepare", request=Order, result=Prepared, timeout=timedelta(minutes=30))
deliver = TaskType("delivery.route", Address, Route, timeout=None, topic="delivery")
notify = TaskType("customer.notify", request=str, result=NoneType)
split = TaskType("order.split", request=Order, result=list[Order])
drive = TaskType(
    "delivery.drive",
    request=Order,
    result=NoneType,
    timeout=timedelta(days=2),
    attempt_timeout=timedelta(hours=6),
    start_timeout=timedelta(minutes=5),
    heartbeat_every=timedelta(seconds=10),
    retry=RetryPolicy(attempts=None, first_delay=timedelta(seconds=5), never={"NoSuchStreet", "ValueError"}),
)

find = TaskType("restaurant.find", request=Order, result=Prepared | None)
seek = TaskType("restaurant.seek", request=Order | list[Order], result=list[Prepared] | None)
choose = TaskType("restaurant.choose", Order, Literal["hot", "cold"])
clean = TaskType("restaurant.clean", request=None, result=None, timeout=None)
price = TaskType("restaurant.price", request=Page[Order], result=dict[str, float] | None)

assert_type(find, TaskType[Order, Prepared | None])
assert_type(seek, TaskType[Order | list[Order], list[Prepared] | None])
assert_type(price, TaskType[Page[Order], dict[str, float] | None])
assert_type(find.result_codec.decode(b"null"), Prepared | None)
assert_type(choose.result_codec.decode(b'"hot"'), Literal["hot", "cold"])
assert_type(clean, TaskType[None, None])
assert_type(drive, TaskType[Order, None])
assert_type(drive.monitored, bool)
assert_type(drive.heartbeat_limit, timedelta | None)
assert_type(drive.retry, RetryPolicy | None)
assert_type(prepare, TaskType[Order, Prepared])
assert_type(deliver, TaskType[Address, Route])
assert_type(notify, TaskType[str, None])
assert_type(split, TaskType[Order, list[Order]])
assert_type(prepare.timeout, timedelta | None)
assert_type(prepare.request_codec, Codec[Order])
assert_type(prepare.result_codec.decode(b'{"minutes":12}'), Prepared)
assert_type(deliver.request_codec.encode({"street": "Main Street 1"}), bytes)
assert_type(split.result_codec.decode(b"[]"), list[Order])
prepare.request_codec.encode(Prepared(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] # the wrong way round


def sign_and_verify(ring: Keyring, text: str, drawn: bytes) -> Token:
    """Tokens are made of ids that are types of their own."""
    awakeable_id = parse_awakeable_id(text)
    assert_type(awakeable_id, AwakeableId)
    assert_type(task_id_of(drawn), TaskId)
    token = Token("restaurant.prepare", task_id_of(drawn), Attempt(1), awakeable_id)
    Token("restaurant.prepare", text, Attempt(1), awakeable_id)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] # any text is no task id
    assert_type(ring.sign(token, "kallback.results"), str)
    assert_type(shorten(text), str)
    assert_type(ring.key_ids, tuple[str, ...])
    assert_type(Keyring.parse("k1:...", insecure=True), Keyring)
    return assert_type(ring.verify(text, "kallback.results"), Token)


def take_result(ring: Keyring, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> bytes:
    """Read a result record as a bridge does."""
    record = assert_type(read_result(value, headers), ResultRecord)
    token = ring.verify(record.token, "kallback.results")
    answer = assert_type(record.answer(), Answer)
    match answer:
        case Completed(value=body):
            assert_type(body, bytes)
        case Failed():
            assert_type(answer.problem(), Problem)
        case _:
            assert_never(answer)
    return assert_type(seal(token.task_id, token.attempt, answer), bytes)


def resume(data: bytes) -> Prepared | Problem:
    """Open an envelope as a handler does."""
    envelope = assert_type(open_envelope(data), Envelope)
    if isinstance(envelope.answer, Completed):
        return prepare.result_codec.decode(envelope.answer.value)
    return envelope.answer.problem()


def work(value: bytes, headers: list[tuple[str, bytes | None]]) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
    """Answer a task record as a worker does."""
    task = assert_type(TaskHeaders.decode(headers), TaskHeaders)
    assert_type(task.deadline_ms, int | None)
    assert_type(values_of(headers, "x-request-id"), list[bytes])
    order = prepare.request_codec.decode(check_json(value))
    if not order.id:
        return Problem("NoOrder", 422, "an order has an id", retryable=False).encode(), failed_headers(task.token)
    return prepare.result_codec.encode(Prepared(12)), completed_headers(task.token)


def follow(value: bytes | None, task_id: TaskId, attempt: Attempt) -> bool:
    """Read a control record."""
    cancel = assert_type(Cancel.decode(value), Cancel)
    assert_type(cancel.reason, CancelReason)
    return cancel.covers(task_id, attempt)


def account(offset: int) -> tuple[bytes, bytes]:
    """Write an outcome record."""
    source = SourcePosition("kallback.results", 0, offset, 0)
    record = OutcomeRecord(Outcome.DELIVERED, source, at_ms=0)
    return assert_type(record.key(), bytes), assert_type(record.encode(), bytes)


def beat(task: TaskHeaders, now_ms: int, done: int) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
    """Write a heartbeat as a worker does."""
    assert_type(task.start_by_ms, int | None)
    assert_type(task.progress_to, str | None)
    assert_type(task.last_details, bytes)
    headers = progress_headers(task.token, Signal.HEARTBEAT, now_ms, task.heartbeat_every_ms)
    progress_headers(task.token, "heartbeat", now_ms)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] # no enum
    return checked_details(b"%d" % done), assert_type(headers, tuple[tuple[str, bytes], ...])


def hear(ring: Keyring, value: bytes | None, headers: list[tuple[str, bytes | None]], now_ms: int) -> bytes:
    """Read a progress record as a bridge does, and tell the monitor."""
    record = assert_type(read_progress(value, headers), ProgressRecord)
    ring.verify(record.token, "kallback.results")
    report = assert_type(record.report(), Report)
    heard = Heard(record.token, report.signal, report.at_ms, now_ms, msgspec.Raw(report.details))
    return msgspec.json.encode(heard)


def show(progress: TaskProgress, marks: Marks) -> tuple[TaskId, int | None, int | None]:
    """Read how a task stands."""
    assert_type(progress.attempt, Attempt)
    return progress.task_id, assert_type(progress.heartbeat_ms, int | None), marks.marks.get(0)


def retry(attempt: Attempt, problem: Problem) -> float:
    """Decide on another attempt as a handler does."""
    policy = drive.retry or RetryPolicy()
    decision = assert_type(policy.after(attempt, problem), Retry)
    match decision:
        case RetryAfter(delay=delay):
            return delay.total_seconds()
        case GiveUp(reason=reason):
            raise ValueError(reason)
        case _:
            assert_never(decision)
