"""Task records: one attempt of one task on its way to a worker.

The value is the request as the user's type encodes it, without a wrapper, so that a worker in any language reads
it as it is; everything of ours travels in headers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from kallback.protocol import headers as names
from kallback.protocol.cancel_secrets import HASH_CHARACTERS
from kallback.protocol.errors import InvalidProgressError, InvalidTaskError
from kallback.protocol.frameworks.conventions import Convention, task_headers_of
from kallback.protocol.headers import Headers, excess_of
from kallback.protocol.long_tasks.progress import checked_details
from kallback.protocol.tokens import TASK_ID_CHARACTERS, Attempt, TaskId

_MAX_TEXT_BYTES: Final = 4096  # far more than a token, a topic's name, or what tracers put into tracestate
_MAX_BYTES: Final = {names.TASK_ID: TASK_ID_CHARACTERS, names.CANCEL_HASH: HASH_CHARACTERS}
_YES: Final = b"1"
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TaskHeaders:
    """The headers of a task record.

    Attributes:
        token: the only thing that a worker must echo. A bearer credential: hidden in repr.
        reply_to: topic that takes the result.
        deadline_ms: epoch milliseconds, None when the caller waits without a limit.
        traceparent: W3C trace context, with `tracestate`, when the caller traces.
        start_by_ms: epoch milliseconds; who starts later is not waited for.
        progress_to: topic that takes progress records; None when the caller wants none.
        heartbeat_every_ms: how often the caller wants to hear of a running attempt.
        last_details: heartbeat details of the attempt before this one: JSON, empty for none.
        cancel_hash: the hash of the secret that a cancel of this attempt must have; None if cancels need none.
        hand_back: the caller takes the attempt back from a worker that stops, and sends the next one at once.
        retry_lost: the caller sends another attempt if this one is lost, so that its record is not needed again once it
            has begun.
        convention: adds the headers that workers with this framework look for. Not read back.
    """

    token: str
    task_id: TaskId
    attempt: Attempt
    task_type: str
    reply_to: str
    deadline_ms: int | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    start_by_ms: int | None = None
    progress_to: str | None = None
    heartbeat_every_ms: int | None = None
    last_details: bytes = b""
    cancel_hash: str | None = None
    hand_back: bool = False
    retry_lost: bool = False
    convention: Convention = Convention.KALLBACK

    def encode(self) -> tuple[tuple[str, bytes], ...]:
        """Headers for a Kafka client, always in the same order: copies of one attempt are byte-identical."""
        members = {
            names.VERSION: names.WIRE_VERSION,
            names.TOKEN: self.token,
            names.TASK_ID: self.task_id,
            names.ATTEMPT: str(self.attempt),
            names.TYPE: self.task_type,
            names.REPLY_TO: self.reply_to,
            names.DEADLINE: _text(self.deadline_ms),
            names.START_BY: _text(self.start_by_ms),
            names.PROGRESS_TO: self.progress_to,
            names.HEARTBEAT_EVERY: _text(self.heartbeat_every_ms),
            names.CANCEL_HASH: self.cancel_hash,
            names.CONTENT_TYPE: names.JSON,
            names.TRACEPARENT: self.traceparent,
            names.TRACESTATE: self.tracestate,
            names.SPRING_CORRELATION_ID: self.token,
            names.SPRING_REPLY_TOPIC: self.reply_to,
        }
        details = ((names.LAST_DETAILS, self.last_details),) if self.last_details else ()
        hand_back = ((names.HAND_BACK, _YES),) if self.hand_back else ()
        retry_lost = ((names.RETRY_LOST, _YES),) if self.retry_lost else ()
        present = ((name, value.encode()) for name, value in members.items() if value is not None)
        return (*present, *details, *hand_back, *retry_lost, *self._foreign())

    def _foreign(self) -> tuple[tuple[str, bytes], ...]:
        return task_headers_of(
            self.convention,
            token=self.token,
            reply_to=self.reply_to,
            task_type=self.task_type,
            dispatch=f"{self.task_id}-{self.attempt}",
        )

    @classmethod
    def decode(cls, headers: Headers) -> TaskHeaders:
        """Read the headers of a task record.

        Raises:
            InvalidTaskError: too many headers; or one is missing, unreadable, too long, or occurs twice with different
                values.
        """
        pairs = tuple(headers)
        excess = excess_of(pairs)
        if excess is not None:
            raise InvalidTaskError(f"{excess}: not a task record of kallback")
        members = _Members(pairs)
        version = members.required(names.VERSION)
        if version != names.WIRE_VERSION:
            raise InvalidTaskError(f"wire version {version!r} is not known here: upgrade this worker")
        return cls(
            token=members.required(names.TOKEN),
            task_id=TaskId(members.required(names.TASK_ID)),
            attempt=Attempt(_number(names.ATTEMPT, members.required(names.ATTEMPT))),
            task_type=members.required(names.TYPE),
            reply_to=members.required(names.REPLY_TO),
            deadline_ms=members.number(names.DEADLINE),
            traceparent=members.optional(names.TRACEPARENT),
            tracestate=members.optional(names.TRACESTATE),
            start_by_ms=members.number(names.START_BY),
            progress_to=members.optional(names.PROGRESS_TO),
            heartbeat_every_ms=members.number(names.HEARTBEAT_EVERY),
            last_details=_details(members.only(names.LAST_DETAILS)),
            cancel_hash=members.optional(names.CANCEL_HASH),
            hand_back=members.only(names.HAND_BACK) == _YES,
            retry_lost=members.only(names.RETRY_LOST) == _YES,
        )

    def __repr__(self) -> str:
        return f"TaskHeaders({self.task_type} {self.task_id} attempt {self.attempt})"


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _details(value: bytes | None) -> bytes:
    """Only an aid to the next attempt: what cannot be read counts as absent, the work can be done without it."""
    try:
        return b"" if value is None else checked_details(value)
    except InvalidProgressError:
        return b""


class _Members:
    """The headers of a task record by name, read in one pass; null values do not count."""

    __slots__ = ("_ambiguous", "_values")

    def __init__(self, headers: Headers) -> None:
        self._values: dict[str, bytes] = {}
        self._ambiguous: set[str] = set()
        for name, value in headers:
            if value is not None and self._values.setdefault(name, value) != value:
                self._ambiguous.add(name)

    def only(self, name: str) -> bytes | None:
        """The value of a header; None if it is absent, or stands more than once with different values."""
        return None if name in self._ambiguous else self._values.get(name)

    def optional(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is None:
            return None
        if name in self._ambiguous:
            raise InvalidTaskError(f"header {name} stands more than once, with different values")
        if len(value) > _MAX_BYTES.get(name, _MAX_TEXT_BYTES):
            raise InvalidTaskError(f"header {name} has {len(value)} bytes, more than any task of kallback")
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise InvalidTaskError(f"header {name} is not UTF-8") from None

    def required(self, name: str) -> str:
        value = self.optional(name)
        if value is None:
            raise InvalidTaskError(f"header {name} is missing: not a task record of kallback")
        return value

    def number(self, name: str) -> int | None:
        value = self.optional(name)
        return None if value is None else _number(name, value)


def _number(name: str, text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        raise InvalidTaskError(f"header {name} is not a whole number from 1")
    return int(text)
