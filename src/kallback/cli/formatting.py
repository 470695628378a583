"""What came from outside, made fit for a terminal: no control characters, no whole tokens; times and sizes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from kallback.protocol import shorten

# A token or an awakeable id wherever it stands: either completes a task in the hands of whoever reads it.
_SECRET: Final = re.compile(r"kb1:[^\s\"'<>,]+|sign_1[A-Za-z0-9_-]{8,}")
_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000))
_STEP: Final = 1024


def redact(text: str) -> str:
    """Shorten every token and awakeable id inside a text."""
    return _SECRET.sub(lambda found: shorten(found[0]) if found[0].startswith("kb1:") else "sign_1…", text)


def plain(text: str) -> str:
    """A text of one line for a terminal: without secrets, and without what a terminal would act upon."""
    return _escape(redact(text))


def _escape(text: str, *, lines: bool = False) -> str:
    kept = "\n\t" if lines else ""
    return "".join(
        char if char.isprintable() or char in kept else char.encode("unicode_escape").decode() for char in text
    )


def readable(data: bytes, *, longest: int, lines: bool = False) -> str:
    """Bytes as text without secrets, cut to so many characters; what is not UTF-8 in hexadecimal."""
    try:
        text = redact(data.decode())  # before it is cut: half a token would not be seen as one
    except UnicodeDecodeError:
        text = f"0x{data[:longest].hex()}"
    shown = _escape(text[:longest], lines=lines)
    return shown if len(text) <= longest else f"{shown} … (cut)"


def moment(epoch_ms: int) -> str:
    """A time in UTC, to the second; a number that is no time stays a number."""
    try:
        return datetime.fromtimestamp(epoch_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{epoch_ms} ms"


def span(milliseconds: int) -> str:
    """A length of time in its two largest units: `2 h 5 min`."""
    left, words = abs(milliseconds), list[str]()
    for name, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            words.append(f"{count} {name}")
    return " ".join(words[:2]) or "less than 1 s"


def counted(count: int, what: str) -> str:
    """A number and its noun, in the plural where it is one."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def size(count: int) -> str:
    """Bytes for people."""
    if count < _STEP:
        return f"{count} B"
    return f"{count / _STEP:.1f} KiB" if count < _STEP**2 else f"{count / _STEP**2:.1f} MiB"
