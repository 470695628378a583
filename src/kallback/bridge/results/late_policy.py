"""What happens to a late result: per task type, dead letter (the default), drop, or send it to a Restate handler.

No policy applies to history: most of it was delivered in time, to another group.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from kallback.protocol import Answer, Completed, ConfigurationError, Token

LATE: Final = "late"
DROPPED: Final = "late-dropped"
HANDLED: Final = "late-handled"
HISTORY: Final = "late-history"
"""Of a result in the history of its partition, which a new group reads: it is not known what was done with it."""
NOT_DEAD_LETTERED: Final = frozenset({DROPPED, HANDLED, HISTORY})
"""Reasons of the outcome `late` that leave no dead letter."""

_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_HANDLER: Final = re.compile(rf"handler:({_NAME})/({_NAME})", re.ASCII)


class ToDeadLetters(msgspec.Struct, frozen=True):
    """Write a dead letter."""


class DropLate(msgspec.Struct, frozen=True):
    """Drop it: no handler waits, and the work has no value by itself."""


class ToHandler(msgspec.Struct, frozen=True):
    """Send it to a handler of a Restate service, so that the work is not lost."""

    service: str
    handler: str

    def __str__(self) -> str:
        return f"{self.service}/{self.handler}"


LatePolicy = ToDeadLetters | DropLate | ToHandler


class LatePolicies(msgspec.Struct, frozen=True):
    """One policy for each task type.

    Attributes:
        default: for types without their own.
        by_type: by task type name.
    """

    default: LatePolicy = ToDeadLetters()
    by_type: Mapping[str, LatePolicy] = {}

    def of(self, task_type: str) -> LatePolicy:
        """Return the policy of a task type."""
        return self.by_type.get(task_type, self.default)

    def handlers(self) -> frozenset[ToHandler]:
        """Return the handlers that policies name."""
        return frozenset(it for it in (self.default, *self.by_type.values()) if isinstance(it, ToHandler))


def read_policies(texts: Iterable[str]) -> LatePolicies:
    """Read `POLICY` (the default) and `TYPE=POLICY`; a policy is `dead-letter`, `drop` or `handler:Service/handler`.

    Raises:
        ConfigurationError: a text is not a policy, or two contradict each other.
    """
    found: dict[str, LatePolicy] = {}
    for text in texts:
        task_type, named, policy = text.rpartition("=")
        if (named and not task_type) or task_type in found:
            raise ConfigurationError(f"late policy {text!r}: name each task type once, and one default at most")
        found[task_type] = _read(policy, text)
    return LatePolicies(found.pop("", ToDeadLetters()), found)


def _read(policy: str, text: str) -> LatePolicy:
    if policy == "dead-letter":
        return ToDeadLetters()
    if policy == "drop":
        return DropLate()
    if (named := _HANDLER.fullmatch(policy)) is not None:
        return ToHandler(named[1], named[2])
    raise ConfigurationError(
        f"late policy {text!r} is not known: write dead-letter, drop or handler:Service/handler, and a task type and = "
        "before it if it is for one type only"
    )


class LateResult(msgspec.Struct, frozen=True):
    """A result that no handler waits for any more.

    Attributes:
        at_ms: Kafka timestamp of the worker's record, epoch milliseconds.
    """

    token: Token
    answer: Answer
    at_ms: int

    @property
    def key(self) -> str:
        """Idempotency key: duplicates of one attempt's result make one invocation."""
        return f"{self.token.task_id}-{self.token.attempt}"

    def body(self) -> bytes:
        """Return what the handler gets: JSON that contains the worker's bytes unchanged."""
        token, answer = self.token, self.answer
        facts: dict[str, str | int] = {
            "task": token.task_id,
            "attempt": token.attempt,
            "type": token.task_type,
            "deadline": token.deadline_ms,
            "at": self.at_ms,
        }
        head = msgspec.json.encode(facts)[:-1]
        if isinstance(answer, Completed):
            return b'%b,"status":"completed","value":%b}' % (head, answer.value)
        return b'%b,"status":"failed","error":%b}' % (head, answer.error)
