"""Progress records: what a worker tells about an attempt while it works, `started` or a heartbeat with details.

They are read like results: the token is found first and verified by the reader, then the rest counts. A record
that cannot be understood is dropped: progress is best effort, a result is not.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from kallback.protocol import headers as names
from kallback.protocol.errors import DecodeError, InvalidProgressError, UnverifiedError
from kallback.protocol.headers import Headers, refuse_excess, values_of
from kallback.protocol.long_tasks.partitions import checked_partitions
from kallback.protocol.outcomes import Unverified
from kallback.protocol.tokens import shorten
from kallback.protocol.values.codecs import check_json

MAX_DETAILS_BYTES: Final = 16_384
"""Heartbeat details travel in a header of the next attempt, and lie in Restate's state: they are kept small."""

_MILLISECONDS: Final = re.compile(rb"[0-9]{1,15}")
_INTERVAL: Final = re.compile(rb"[1-9][0-9]{0,14}")


class Signal(StrEnum):
    """The values of header `kallback-signal`."""

    STARTED = "started"
    HEARTBEAT = "heartbeat"


class ProgressRecord(msgspec.Struct, frozen=True, gc=False):
    """A progress record whose token was found, not yet verified.

    Attributes:
        token: hostile until verified, secret after. Shortened in repr.
        signals: the distinct texts of `kallback-signal`.
        times: those of `kallback-at`.
        intervals: those of `kallback-heartbeat-every`, echoed from the task.
        partitions: those of `kallback-partitions`.
        body: the details, unchecked.
    """

    token: str
    signals: tuple[bytes, ...]
    times: tuple[bytes, ...]
    intervals: tuple[bytes, ...]
    body: bytes
    partitions: tuple[bytes, ...] = ()

    def report(self) -> Report:
        """What the worker tells; ask only after the token was verified.

        Raises:
            InvalidProgressError: it cannot be understood.
        """
        if len(self.signals) != 1 or len(self.times) != 1 or _MILLISECONDS.fullmatch(self.times[0]) is None:
            raise InvalidProgressError(
                f"a progress record has one {names.SIGNAL} and one {names.AT}, in epoch milliseconds"
            )
        try:
            signal = Signal(self.signals[0].decode("ascii", "replace"))
        except ValueError:
            raise InvalidProgressError(f"{names.SIGNAL} is neither 'started' nor 'heartbeat'") from None
        return Report(signal, int(self.times[0]), checked_details(self.body), self._every_ms(), self._partitions())

    def _every_ms(self) -> int | None:
        """Only an echo, so that its reader knows how often the next ones come: garbled or 0, it counts as absent."""
        known = len(self.intervals) == 1 and _INTERVAL.fullmatch(self.intervals[0]) is not None
        return int(self.intervals[0]) if known else None

    def _partitions(self) -> str:
        """Only a hint: garbled, it counts as absent."""
        return checked_partitions(self.partitions[0].decode("ascii", "replace")) if len(self.partitions) == 1 else ""

    def __repr__(self) -> str:
        return f"ProgressRecord({shorten(self.token)}, {len(self.body)} bytes)"


class Report(msgspec.Struct, frozen=True, gc=False):
    """What a worker tells about an attempt.

    Attributes:
        at_ms: when, by the worker's clock.
        details: JSON, byte for byte as the worker sent it; empty for none.
        every_ms: how often the next ones come; None when the worker does not say.
        partitions: which partitions of the task's topic the worker reads, as text; empty when it does not say.
    """

    signal: Signal
    at_ms: int
    details: bytes = b""
    every_ms: int | None = None
    partitions: str = ""


def checked_details(details: bytes) -> bytes:
    """Heartbeat details that are small and JSON, or empty.

    Raises:
        InvalidProgressError: they are neither.
    """
    if len(details) > MAX_DETAILS_BYTES:
        raise InvalidProgressError(
            f"heartbeat details of {len(details)} bytes: {MAX_DETAILS_BYTES} are the most, send a reference to where "
            "they are stored"
        )
    if details:
        try:
            check_json(details)
        except DecodeError as error:
            raise InvalidProgressError(f"heartbeat details are JSON or empty, these are {error}") from None
    return details


def read_progress(value: bytes | None, headers: Headers) -> ProgressRecord:
    """Find the token of a progress record.

    Raises:
        UnverifiedError: too many headers, no token, one that is not text, or several different ones.
    """
    pairs = tuple(headers)
    refuse_excess(pairs)
    tokens = values_of(pairs, names.TOKEN)
    if not tokens:
        raise UnverifiedError(Unverified.NO_TOKEN, f"no token: a progress record has the task's {names.TOKEN}")
    if len(tokens) > 1:
        raise UnverifiedError(Unverified.AMBIGUOUS_TOKEN, "the headers of one record have different tokens")
    try:
        token = tokens[0].decode("ascii")
    except UnicodeDecodeError:
        raise UnverifiedError(Unverified.MALFORMED_TOKEN, "the token is not ASCII") from None
    signals, times, intervals, partitions = (
        tuple(values_of(pairs, name)) for name in (names.SIGNAL, names.AT, names.HEARTBEAT_EVERY, names.PARTITIONS)
    )
    return ProgressRecord(token, signals, times, intervals, value or b"", partitions)


def progress_headers(
    token: str, signal: Signal, at_ms: int, every_ms: int | None = None, partitions: str = ""
) -> tuple[tuple[str, bytes], ...]:
    """The headers of a progress record; the value is the details as JSON, or empty."""
    every = () if every_ms is None else ((names.HEARTBEAT_EVERY, str(every_ms).encode()),)
    read = ((names.PARTITIONS, partitions.encode()),) if partitions else ()
    signalled = ((names.SIGNAL, signal.encode()), (names.AT, str(at_ms).encode()))
    return ((names.TOKEN, token.encode()), *signalled, *every, *read)
