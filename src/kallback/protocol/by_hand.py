"""Results that people send in a worker's place: headers that say who did it and why.

They are claims: whoever has the token can write them. The bridge copies them into the outcome record, which makes the
outcomes topic an audit trail of what was answered by hand. What was done is no claim: it is read from the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kallback.protocol.errors import DecodeError, UnusableResultError, UnverifiedError
from kallback.protocol.headers import BY, WHY, Headers, values_of
from kallback.protocol.problems import CANCELLED_BY_HAND, HANDED_BACK
from kallback.protocol.results import Answer, Completed, read_result

MAX_BY_BYTES: Final = 256
MAX_WHY_BYTES: Final = 1024


class Deed(StrEnum):
    """What a result does to its task; `RETRIED` and `CANCELLED` only by hand."""

    COMPLETED = "completed"
    FAILED = "failed"
    HANDED_BACK = "handed-back"
    """A worker that stops gave the attempt back."""
    RETRIED = "retried"
    CANCELLED = "cancelled"


_DEEDS: Final = {CANCELLED_BY_HAND: Deed.CANCELLED, HANDED_BACK: Deed.HANDED_BACK}
"""By the type of the problem; any other one is a failure."""
_MARK: Final = b"urn:kallback:"
"""In every problem with one of these types."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Who answered a task by hand.

    Attributes:
        by: a name; printable text of at most 256 bytes.
        why: one sentence, of at most 1024 bytes; may be empty.
    """

    by: str
    why: str = ""

    def __post_init__(self) -> None:
        """Refuse what the bridge would not copy.

        Raises:
            ValueError: a text is too long, not printable, or the name is empty.
        """
        for name, text, limit in (("name", self.by, MAX_BY_BYTES), ("reason", self.why, MAX_WHY_BYTES)):
            if not text.isprintable() or len(text.encode(errors="replace")) > limit:
                raise ValueError(f"the {name} must be one printable line of at most {limit} bytes")
        if not self.by.strip():
            raise ValueError("the name is empty: say who does it")

    def sentence(self, deed: str) -> str:
        """Who did what and why, for the detail of a problem: `failed by ann: no basil`."""
        return f"{deed} by {self.by}: {self.why}" if self.why else f"{deed} by {self.by}"

    def encode(self) -> tuple[tuple[str, bytes], ...]:
        """The headers, to be added to those of a result."""
        why = ((WHY, self.why.encode()),) if self.why else ()
        return ((BY, self.by.encode()), *why)


def read_operator(headers: Headers) -> Operator | None:
    """Who sent a result by hand; None if it says nothing of it, or nothing that can be shown."""
    pairs = headers if isinstance(headers, tuple) else tuple(headers)
    names, reasons = values_of(pairs, BY), values_of(pairs, WHY)
    if len(names) != 1 or len(reasons) > 1:
        return None
    try:
        return Operator(names[0].decode(), reasons[0].decode() if reasons else "")
    except ValueError:  # UnicodeDecodeError is one
        return None


def deed_of(value: bytes | None, headers: Headers) -> Deed | None:
    """What a result does that was sent by hand; None if it is no result.

    Args:
        value: of the result record, whose token was verified.
        headers: of the record.
    """
    try:
        return deed_in(read_result(value, headers).answer(), by_hand=True)
    except (UnverifiedError, UnusableResultError):
        return None


def deed_in(answer: Answer, *, by_hand: bool = False) -> Deed:
    """What an answer does; asked for each result, so problems are read only if they may be of a type that counts."""
    if isinstance(answer, Completed):
        return Deed.COMPLETED
    if _MARK not in answer.error:
        return Deed.FAILED
    try:
        deed = _DEEDS.get(answer.problem().type, Deed.FAILED)
    except DecodeError:  # nested too deep to be read here
        return Deed.FAILED
    return Deed.RETRIED if by_hand and deed is Deed.HANDED_BACK else deed
