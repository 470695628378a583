"""Summaries: one dead letter that stands for many records of one reason.

A summary is the dead letter of its first record, the sample, with the header `kallback-dead-summary` in addition: how
many records it counts, in which ranges of offsets they lie, and the last of them. The records themselves stay in their
topic, where a replay reads them. Anyone can write such a header, so reading it is strict and bounded.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from kallback.kafka.offsets.refused_runs import MAX_RUN
from kallback.kafka.records import Record
from kallback.protocol.values.bounded_reading import read_json

SUMMARY: Final = "kallback-dead-summary"
MAX_RANGES: Final = 500
"""Ranges of one summary: about 10 KB in its header."""
_RANGE_BYTES: Final = 24
_HEADER_BYTES: Final = 100
_MAX_RECORDS: Final = 1_000_000
_MAX_HEADER_BYTES: Final = 64 * 1024

_Count = Annotated[int, msgspec.Meta(ge=1, le=_MAX_RECORDS)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_Offset = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class OffsetRange(msgspec.Struct, frozen=True, array_like=True):
    """Offsets of one partition, from `first` to before `end`."""

    partition: _Number
    first: _Offset
    end: _Offset


class LastRecord(msgspec.Struct, frozen=True):
    """The last record of a summary; the time is the record's, in epoch milliseconds."""

    partition: _Number
    offset: _Offset
    timestamp: int


class LetterSummary(msgspec.Struct, frozen=True):
    """What a summary counts; topic, position and time of the first record are those of its dead letter.

    Attributes:
        count: number of records.
        ranges: where they lie, in the order in which they were read.
    """

    count: _Count
    ranges: Annotated[tuple[OffsetRange, ...], msgspec.Meta(min_length=1, max_length=MAX_RANGES)]
    last: LastRecord

    def encode(self) -> bytes:
        """The value of the header."""
        return msgspec.json.encode(self)


_DECODER: Final = msgspec.json.Decoder(LetterSummary)


def read_summary(header: bytes) -> LetterSummary | None:
    """Read the header; None if kallback did not write it."""
    if len(header) > _MAX_HEADER_BYTES:
        return None
    try:
        found = read_json(_DECODER, header)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    lengths = [each.end - each.first for each in found.ranges]
    if min(lengths) < 1 or not found.count <= sum(lengths) <= _MAX_RECORDS:
        return None
    return found


class SummaryBuilder:
    """Counts records of one reason.

    Args:
        sample: the first record.
        coarse: keep one range for each partition, which also spans the records between: for summaries that must be
            small, whatever is written between the records that they count.

    Attributes:
        count: number of records so far.
    """

    __slots__ = ("_coarse", "_last", "_newest", "_ranges", "_spanned", "count", "sample")

    def __init__(self, sample: Record, *, coarse: bool = False) -> None:
        self.sample: Final = sample
        self.count = 0
        self._coarse = coarse
        self._spanned = 0  # offsets of all ranges
        self._newest: dict[int, int] = {}  # the index of each partition's newest range
        self._ranges: list[tuple[int, int, int]] = []
        self._last = sample
        self.add(sample)

    @property
    def is_full(self) -> bool:
        """Whether one more record may be one too many, or need a range too many."""
        return len(self._ranges) >= MAX_RANGES or self._spanned > _MAX_RECORDS - MAX_RUN

    @property
    def size(self) -> int:
        """About how many bytes its header has."""
        return _HEADER_BYTES + _RANGE_BYTES * len(self._ranges)

    def add(self, record: Record) -> None:
        """Count one more record, or a run of them."""
        number, offset = record.partition, record.offset
        at = self._newest.get(number)
        if at is not None and self._continues(self._ranges[at][2], record):
            self._spanned += record.next_offset - self._ranges[at][2]
            self._ranges[at] = (number, self._ranges[at][1], record.next_offset)
        else:
            self._spanned += record.next_offset - offset
            self._newest[number] = len(self._ranges)
            self._ranges.append((number, offset, record.next_offset))
        self.count += record.count
        self._last = record

    def _continues(self, end: int, record: Record) -> bool:
        """Whether a record belongs to the range that ends there: it is next, or the gap is small enough."""
        return record.offset == end or (self._coarse and 0 <= record.next_offset - end <= MAX_RUN)

    def build(self, *, coarse: bool = False) -> LetterSummary:
        """Return what was counted; `coarse`: one range for each partition, if they do not span too much."""
        record, run = self._last, self._last.refused
        ranges = self._one_for_each_partition() if coarse else self._ranges
        last = (
            LastRecord(record.partition, record.offset, record.timestamp_ms)
            if run is None
            else LastRecord(record.partition, run.end - 1, run.last_ms)
        )
        return LetterSummary(self.count, tuple(OffsetRange(*each) for each in ranges), last)

    def _one_for_each_partition(self) -> list[tuple[int, int, int]]:
        spans: dict[int, tuple[int, int, int]] = {}
        for number, first, end in self._ranges:
            _, least, most = spans.get(number, (number, first, end))
            spans[number] = (number, min(least, first), max(most, end))
        spanned = sum(end - first for _, first, end in spans.values())
        return list(spans.values()) if spanned <= _MAX_RECORDS else self._ranges
