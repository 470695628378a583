"""What a commit says beside its position: offsets done out of order, how often records were started, who died.

A commit position stops at the lowest unfinished record. Without metadata, records above it that are done would run
again after a crash, and a record that kills its process would kill each successor in the same way. Kafka keeps a string
beside each position, the commit metadata (at most 4 KiB unless the broker's `offset.metadata.max.bytes` differs; a
longer one fails the commit). The metadata is a hint: without it everything is delivered at least once. So what does not
fit is left out, and what cannot be read counts as nothing. Any text may stand there that a member of the group could
write. So what it says of records that are not written yet counts for nothing either: they would be skipped or parked.

Version 1: `1:` and unpadded base64url of unsigned LEB128 numbers: how many deliveries; each of them as offset (the
first one less the commit position, then less the one before) and count; then each range of done offsets as gap (the
first one counted from the commit position, then from the end of the range before, less one) and length less one.

Version 2, `2:`, has the same numbers and says that its writer is at work: it has started records, and has not left the
partition. Who finds it knows that the writer died. Version 1 is what a process leaves behind that goes in good order.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

OffsetRange = tuple[int, int]
"""Offsets from the first number up to the one before the second."""

MAX_TEXT: Final = 3071
"""Characters of a text at most: 3 KiB with the zero byte that the clients write behind it, while brokers allow 4."""

_LEFT: Final = "1:"
_AT_WORK: Final = "2:"
_BUDGET: Final = (MAX_TEXT - len(_LEFT)) * 3 // 4
_MAX_OFFSET: Final = 2**63 - 1
_MAX_COUNT: Final = 2**31 - 1
_MAX_VARINT: Final = 9
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


class CommitMetadata(msgspec.Struct, frozen=True):
    """What is known of the records above a commit position.

    Attributes:
        done: ranges of offsets whose outcome is durable; ascending, with a gap between each two.
        deliveries: how often a record was started by processes that did not finish it, by offset; at least once.
        at_work: the process that wrote this has started records, and has not left the partition.
    """

    done: Sequence[OffsetRange] = ()
    deliveries: Mapping[int, int] = msgspec.field(default_factory=dict[int, int])
    at_work: bool = False

    def is_done(self, offset: int) -> bool:
        """Whether an offset lies in one of the ranges."""
        at = bisect_right(self.done, offset, key=_first) - 1
        return at >= 0 and offset < self.done[at][1]

    def below(self, end: int) -> CommitMetadata:
        """Return what it says of the records of a log that ends there; whose records follow cannot be known yet."""
        done = tuple((first, min(after, end)) for first, after in self.done if first < end)
        deliveries = {offset: count for offset, count in self.deliveries.items() if offset < end}
        return CommitMetadata(done, deliveries, self.at_work)


NO_METADATA: Final = CommitMetadata()


def encode(position: int, metadata: CommitMetadata) -> str:
    """Return the metadata of a commit position as text of at most `MAX_TEXT` characters; empty if there are none.

    What lies below the position is over and left out. If the rest is too much, deliveries go first, the most frequent
    of them before all; then the done ranges from the lowest up.
    """
    deliveries = {at: count for at, count in metadata.deliveries.items() if at >= position and count > 0}
    done = [(max(first, position), end) for first, end in metadata.done if end > position]
    if not deliveries and not done and not metadata.at_work:
        return ""
    packed = _packed_deliveries(position, deliveries)
    if len(packed) > _BUDGET:
        packed = _as_many_as_fit(position, deliveries)
    at = position - 1
    for first, end in done:
        more = _varint(first - at - 1) + _varint(end - first - 1)
        if len(packed) + len(more) > _BUDGET:
            break
        packed += more
        at = end
    return (_AT_WORK if metadata.at_work else _LEFT) + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def says_at_work(text: str) -> bool:
    """Whether a text says that its writer is at work, whatever else it says."""
    return text.startswith(_AT_WORK)


def decode(position: int, text: str | None) -> CommitMetadata:
    """Return the metadata of a commit position; none for a text of another version or another program."""
    if not text or len(text) > MAX_TEXT or not text.startswith((_LEFT, _AT_WORK)) or position < 0:
        return NO_METADATA
    body = text[len(_LEFT) :]
    if _BASE64URL.fullmatch(body) is None:
        return NO_METADATA
    try:
        numbers = _numbers(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return _unpacked(position, numbers, at_work=says_at_work(text))
    except (ValueError, binascii.Error, StopIteration):
        return NO_METADATA


def _first(each: OffsetRange) -> int:
    return each[0]


def _packed_deliveries(position: int, deliveries: Mapping[int, int]) -> bytearray:
    packed = _varint(len(deliveries))
    before = position
    for offset in sorted(deliveries):
        packed += _varint(offset - before) + _varint(min(deliveries[offset], _MAX_COUNT))
        before = offset
    return packed


def _as_many_as_fit(position: int, deliveries: Mapping[int, int]) -> bytearray:
    """Find by halving how many of the most frequent fit: one more never makes the text shorter."""
    ranked = sorted(deliveries, key=lambda offset: (-deliveries[offset], offset))
    best, low, high = _packed_deliveries(position, {}), 0, min(len(ranked), _BUDGET)
    while low < high:
        middle = (low + high + 1) // 2
        packed = _packed_deliveries(position, {offset: deliveries[offset] for offset in ranked[:middle]})
        if len(packed) <= _BUDGET:
            best, low = packed, middle
        else:
            high = middle - 1
    return best


def _varint(number: int) -> bytearray:
    packed = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        packed.append(number & 0x7F | 0x80)
        number >>= 7
    packed.append(number)
    return packed


def _numbers(packed: bytes) -> list[int]:
    numbers: list[int] = []
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte & 0x80:
            if shift >= 7 * _MAX_VARINT:
                raise ValueError("longer than any offset")
            continue
        numbers.append(number)
        number = shift = 0
    if shift:
        raise ValueError("ends within a number")
    return numbers


def _unpacked(position: int, numbers: Iterable[int], *, at_work: bool) -> CommitMetadata:
    rest = iter(numbers)
    deliveries: dict[int, int] = {}
    offset = position
    for nth in range(next(rest)):
        step, count = next(rest), next(rest)
        offset += step
        if not 0 < count <= _MAX_COUNT or (step == 0 and nth > 0):
            raise ValueError("no start, more than anybody writes, or twice the same offset")
        deliveries[offset] = count
    done: list[OffsetRange] = []
    at = position - 1
    for gap in rest:
        first = at + 1 + gap
        at = first + 1 + next(rest)
        done.append((first, at))
    if max(offset, at) > _MAX_OFFSET:
        raise ValueError("beyond the last offset")
    return CommitMetadata(tuple(done), deliveries, at_work)


def merged(ranges: Iterable[OffsetRange]) -> tuple[OffsetRange, ...]:
    """Return ranges in order, with those that touch or overlap made one."""
    joined: list[OffsetRange] = []
    for first, end in sorted(ranges):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((first, end))
    return tuple(joined)
