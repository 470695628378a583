"""How deep JSON is nested, counted over its brackets without building objects.

Anyone may send a megabyte of brackets. Counting goes in slices: a thread that counts lets others run in between.
"""

from __future__ import annotations

import re
from array import array
from itertools import accumulate
from typing import Final

_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""To the bytes of +1 and -1."""
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_SLICE_BYTES: Final = 65_536


def is_nested_deeper(data: bytes, limit: int) -> bool:
    """Return whether JSON is nested deeper than `limit`; of bytes that are no JSON the answer means nothing."""
    if data.count(b"[") + data.count(b"{") <= limit:
        return False
    depth = 0
    for start in range(0, len(brackets := _brackets(data)), _SLICE_BYTES):
        steps = array("b", brackets[start : start + _SLICE_BYTES])
        if max(accumulate(steps, initial=depth)) > limit:
            return True
        depth += sum(steps)
    return False


def _brackets(data: bytes) -> bytes:
    structure = _STRING.sub(b"", data) if b'"' in data else data
    return structure.translate(_STEPS, _NO_BRACKETS)
