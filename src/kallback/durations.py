"""Durations as people read them: in commands, on pages, and in what is written about a record."""

from __future__ import annotations

from typing import Final

_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000))


def span(milliseconds: int) -> str:
    """A duration in its two largest units: `2 h 5 min`; never `0 s`."""
    left, words = abs(milliseconds), list[str]()
    for name, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            words.append(f"{count} {name}")
    return " ".join(words[:2]) or "less than 1 s"
