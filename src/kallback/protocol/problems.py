"""Problems: why a task failed, as an RFC 9457 problem object.

Readers are lenient, as RFC 9457 asks (section 3.1: a member with a value of the wrong type is ignored): a worker
in any language that manages to send a JSON object has its failure delivered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kallback.protocol.values.codecs import Codec, parse_object

DEFAULT_TYPE: Final = "about:blank"
DEFAULT_STATUS: Final = 500
OWN_TYPES: Final = "urn:kallback:"
"""Kallback's own types begin so."""
UNUSABLE_RESULT: Final = "urn:kallback:unusable-result"
UNDECODABLE_TASK: Final = "urn:kallback:undecodable-task"
UNKNOWN_TASK_TYPE: Final = "urn:kallback:unknown-task-type"
UNEXPECTED_ERROR: Final = "urn:kallback:unexpected-error"
ATTEMPT_TIMED_OUT: Final = "urn:kallback:attempt-timed-out"
NOT_STARTED: Final = "urn:kallback:not-started"
PARKED_TASK: Final = "urn:kallback:parked-task"
HEARTBEAT_LOST: Final = "urn:kallback:heartbeat-lost"
HANDED_BACK: Final = "urn:kallback:handed-back"
CANCELLED_BY_HAND: Final = "urn:kallback:cancelled-by-hand"

PARTITIONS: Final = "partitions"
"""Extension of the problem of a lost or handed back attempt: the partitions that its worker read, such as `0-5,8`."""

_MIN_STATUS: Final = 400
_MAX_STATUS: Final = 599
_WHITESPACE: Final = b" \t\r\n"
_KNOWN: Final = frozenset({"type", "title", "status", "detail", "retryable", "retry_after"})
_ANY: Final = Codec[Any](object)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a task failed.

    Attributes:
        type: names the kind of failure; callers branch on it. Types `urn:kallback:*` are kallback's own.
        status: 400 to 599, as in HTTP; becomes the code of the terminal error.
        detail: one sentence for people.
        retryable: whether the same task may succeed later; None when the worker did not say.
        retry_after: seconds to wait before that, if the worker knows.
        extensions: further JSON members, kept as they are.
    """

    type: str = DEFAULT_TYPE
    status: int = DEFAULT_STATUS
    detail: str = ""
    title: str | None = None
    retryable: bool | None = None
    retry_after: float | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def decode(cls, data: bytes) -> Problem:
        """Read a problem object; empty bytes and `null` mean a failure without a word.

        Raises:
            DecodeError: the bytes are not a JSON object.
        """
        if not data or data.strip(_WHITESPACE) == b"null":
            return cls(detail="the worker reported a failure without saying why")
        return cls.from_members(parse_object(data))

    @classmethod
    def from_members(cls, members: Mapping[str, Any]) -> Problem:
        """Pick the known members; one of the wrong type counts as absent."""
        return cls(
            type=_text(members.get("type")) or DEFAULT_TYPE,
            status=_status(members.get("status")),
            detail=_text(members.get("detail")) or "",
            title=_text(members.get("title")),
            retryable=_flag(members.get("retryable")),
            retry_after=_seconds(members.get("retry_after")),
            extensions={name: value for name, value in members.items() if name not in _KNOWN},
        )

    def encode(self) -> bytes:
        """The problem object as JSON; members without a value are left out.

        Raises:
            EncodeError: JSON cannot carry an extension (NaN and infinity included); names it.
        """
        members: dict[str, Any] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "retryable": self.retryable,
            "retry_after": _seconds(self.retry_after),
        }
        known = {name: value for name, value in members.items() if value is not None}
        return _ANY.encode({**self.extensions, **known})


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _status(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and _MIN_STATUS <= value <= _MAX_STATUS:
        return value
    return DEFAULT_STATUS


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if seconds >= 0 and math.isfinite(seconds) else None
