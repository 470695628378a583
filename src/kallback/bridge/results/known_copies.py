"""Remembers the records of which copies need nothing of their own, so that many copies of them cost little.

There are two kinds. A record that has the same bytes as a late result with a dead letter: only the same bytes, because
nothing that a worker proves to have done is lost. And any record of a token for which nothing is written or sent any
more: its result was delivered, or its late results leave no dead letter.

The memory is bounded, so a copy may be unknown: then it is decided on as always.

Threads: the event loop adds, the consumer's thread asks; each of both is one step on a dict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from typing import Final, TypeVar

import msgspec

from kallback.bridge.results.decide import KnownCopy
from kallback.kafka.records import Record
from kallback.protocol.verification import Target

MOST_COPIED: Final = 5_000
"""Of each kind: a few megabytes."""
KNOWN_S: Final = 60.0
"""How long a content is known. So a late result that is replayed later has a new dead letter, kept as long as any."""
_DIGEST_BYTES: Final = 16

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class KnownCopies:
    """What is known of contents and of tokens; the oldest are forgotten first.

    Args:
        monotonic: seconds that only grow.
    """

    __slots__ = ("_by_content", "_by_target", "_monotonic")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._by_content: dict[bytes, tuple[float, KnownCopy]] = {}
        self._by_target: dict[Target, KnownCopy] = {}

    def add_content(self, content: bytes, copy: KnownCopy) -> None:
        """Records of this content are such copies for a minute; see `content_of`."""
        _add(self._by_content, content, (self._monotonic() + KNOWN_S, copy))

    def add_target(self, copy: KnownCopy) -> None:
        """Records with a verified token of this target are such copies, whatever else they contain."""
        _add(self._by_target, copy.target, copy)

    def of_content(self, content: bytes) -> KnownCopy | None:
        """What is known of records of this content."""
        until, copy = self._by_content.get(content, (0.0, None))
        return copy if self._monotonic() < until else None

    def of_target(self, target: Target) -> KnownCopy | None:
        """What is known of records with a verified token of this target."""
        return self._by_target.get(target)


def _add(known: dict[K, V], key: K, value: V) -> None:
    known.pop(key, None)  # so that it is the newest
    known[key] = value
    if len(known) > MOST_COPIED:
        del known[next(iter(known))]


def content_of(record: Record) -> bytes:
    """Return what stands for key, value and headers of a record: only records that have the same bytes share it."""
    content = msgspec.msgpack.encode((record.key, record.value, record.headers))
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
