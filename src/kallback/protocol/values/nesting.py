"""How deep JSON is nested, counted over its brackets without building objects.

Only brackets and the quotes around strings matter, so the rest is dropped first. Most strings are empty then, and
are dropped, too: that changes for no bracket whether it is inside a string, because quotes go in pairs of neighbours.

Anyone may send a megabyte of brackets. Counting goes in slices: a thread that counts lets others run in between.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

_TEXT: Final = rb'"[^"]*+"'
_STRING: Final = re.compile(_TEXT)
_WHOLE: Final = re.compile(rb'(?:[^"]++|%b)*+' % _TEXT)
"""Up to a string that does not end."""
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""To the bytes of +1 and -1."""
_OTHERS: Final = bytes(set(range(256)) - set(b'[]{}"'))
_SLICE_BYTES: Final = 65_536


def is_nested_deeper(data: bytes, limit: int) -> bool:
    """Return whether JSON is nested deeper than `limit`; of bytes that are no JSON the answer means nothing."""
    if data.count(b"[") + data.count(b"{") <= limit:
        return False
    depth = 0
    for part in _slices(_reduced(data)):
        steps = array("b", _STRING.sub(b"", part).translate(_STEPS, b'"'))
        if max(accumulate(steps, initial=depth)) > limit:
            return True
        depth += sum(steps)
    return False


def _reduced(data: bytes) -> bytes:
    """Return the brackets and quotes of JSON, without escaped quotes and without strings that contain no bracket."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")  # a backslash escapes what follows: pairs come first
    return data.translate(None, _OTHERS).replace(b'""', b"")


def _slices(data: bytes) -> Iterator[bytes]:
    """Cut JSON where no string is cut. The strings of a whole value may take ten times its memory."""
    start = 0
    while start < len(data):
        whole = _WHOLE.match(data, start, start + _SLICE_BYTES)
        end = start if whole is None else whole.end()
        if end == start:  # here begins a string that is longer than a slice, or has no end
            string = _STRING.match(data, start)
            end = len(data) if string is None else string.end()
        yield data[start:end]
        start = end
