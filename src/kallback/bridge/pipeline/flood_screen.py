"""Recognizes records of a flood as they are read: unverified ones, and copies of results that are settled.

It does so for a moment, while more unverified ones come than are dead-lettered whole, or copies come.

The consumer hands out consecutive refused records as one. So a flood passes neither the buffer nor the event loop
record by record, and a good result behind it waits only until the flood is read. A verified record carries what was
found (`Record.screened`), so that it is not verified a second time when it is decided on.

Threads: the consumer's thread calls the screen, the event loop adds reasons. Both replace `_reasons` as a whole; if one
undoes what the other did, the next unverified record adds the reason again. What is known of copies: see `KnownCopies`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kallback.bridge.results.decide import LARGE_BYTES, KnownCopy
from kallback.bridge.results.known_copies import KnownCopies, content_of
from kallback.kafka import Record, Refusal
from kallback.protocol.verification import Trust, UnverifiedResult, Verified, check_result

_MOMENT_S: Final = 1.0
"""After it records are let through again, so that some are dead-lettered whole, or the flood is over."""


class FloodScreen:
    """Refuses records whose reason occurs too often now.

    Args:
        trust: what authenticates a record.
        copies: the records whose copies are refused.
        monotonic: seconds that only grow.
    """

    def __init__(self, trust: Trust, copies: KnownCopies, monotonic: Callable[[], float]) -> None:
        self._trust = trust
        self._copies = copies
        self._monotonic = monotonic
        self._reasons: frozenset[str] = frozenset()
        self._until = 0.0
        self._copies_until = -1.0

    def add(self, reason: str) -> None:
        """Refuse records of this reason for a moment."""
        if reason not in self._reasons:
            self._until = self._monotonic() + _MOMENT_S
            self._reasons |= {reason}

    def expect_copies(self) -> None:
        """Refuse copies for a moment: one came."""
        self._copies_until = self._monotonic() + _MOMENT_S

    def __call__(self, records: Sequence[Record]) -> list[Refusal | Verified | None] | None:
        """Return why each record is refused, or that it is verified; None in place of all if there is no flood."""
        now = self._monotonic()
        if self._reasons and now > self._until:
            self._reasons = frozenset()
        copied = now <= self._copies_until
        if not self._reasons and not copied:
            return None
        return [self._look(record, copied=copied) for record in records]

    def _look(self, record: Record, *, copied: bool) -> Refusal | Verified | None:
        """Return None for a record that is large, or unverified for another reason: it is decided on as always."""
        why = record.unreadable
        if why is not None:  # a batch that is damaged is no run of records
            return Refusal(why.reason, why.detail) if why.reason in self._reasons and not why.whole_batch else None
        if len(record.value or b"") > LARGE_BYTES:
            return None
        if copied and (copy := self._copies.of_content(content_of(record))) is not None:
            return _refused(copy)
        found = check_result(record.value, record.headers, self._trust)
        if isinstance(found, UnverifiedResult):
            return Refusal(found.reason, found.detail) if found.reason in self._reasons else None
        if copied and (copy := self._copies.of_target(found.target)) is not None:
            return _refused(copy)
        return found


def _refused(copy: KnownCopy) -> Refusal:
    return Refusal(copy.reason or copy.outcome.value, "", copy)
