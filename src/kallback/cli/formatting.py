"""Text for people: no control characters and no whole tokens from outside; times, durations and sizes."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote

from kallback.protocol import shorten

# A token or an awakeable id anywhere in a text: with either, a reader could complete the task.
# Within the query of an address its colons are escaped, and a gateway takes it so.
_SECRET: Final = re.compile(r"kb1(?::|%3[Aa])[^\s\"'<>,]+|sign_1[A-Za-z0-9_-]{8,}")
_SHORTENED: Final = re.compile(r"kb1:[^:]*:[^:]*:[^:]*:\d+:…")
_STEP: Final = 1024
_LONGEST_STDIN: Final = 65_536
"""Bytes; a token has less than one thousand."""


def redact(text: str) -> str:
    """Shorten every token and awakeable id inside a text; what is shortened already stays."""
    if "kb1:" not in text and "sign_1" not in text and "kb1%3" not in text:
        return text  # most texts; a long list has hundreds of thousands
    return _SECRET.sub(lambda found: _shortened(found[0]), text)


def _shortened(secret: str) -> str:
    if secret.startswith("sign_1"):
        return "sign_1…"
    secret = secret if secret.startswith("kb1:") else unquote(secret)
    return secret if _SHORTENED.fullmatch(secret) else shorten(secret)


def plain(text: str, *, lines: bool = False) -> str:
    """A text for a terminal: secrets are shortened, control characters escaped (but for line breaks, if wanted)."""
    return escape(redact(text), lines=lines)


def escape(text: str, *, lines: bool = False) -> str:
    """Show control characters in place of sending them to the terminal."""
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(
        char if char.isprintable() or char in kept else char.encode("unicode_escape").decode() for char in text
    )


def printable_json(encoded: bytes) -> str:
    """JSON for a terminal: what is not printable is written as an escape of JSON, so that it is read as the same."""
    text = encoded.decode()
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _json_escape(char) for char in text)


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def within(text: str, longest: int) -> str:
    """A text of at most so many characters: of a longer one its beginning and its end."""
    if len(text) <= longest:
        return text
    end = longest // 3
    return f"{text[: longest - end - 1]}…{text[-end:]}"


def readable(data: bytes, *, longest: int, lines: bool = False) -> str:
    """Bytes as text: secrets are shortened, the text is cut to `longest` characters; hexadecimal if it is not UTF-8."""
    try:
        text = redact(data.decode())  # before the cut: half a token is not recognized
    except UnicodeDecodeError:
        text = data.decode(errors="backslashreplace")
        # The hexadecimal digits of a secret are as good as the secret.
        text = redact(text) if _SECRET.search(text) else f"0x{data[:longest].hex()}"
    shown = escape(text[:longest], lines=lines)
    return shown if len(text) <= longest else f"{shown} … (cut)"


def read_stdin() -> str:
    """Return the first line of standard input; bytes that are not UTF-8 become replacement characters."""
    return sys.stdin.buffer.readline(_LONGEST_STDIN).decode(errors="replace")


def moment(epoch_ms: int) -> str:
    """A time in UTC, to the second; a number that is not a time stays a number."""
    try:
        return datetime.fromtimestamp(epoch_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{epoch_ms} ms"


def as_sentence(clause: str) -> str:
    """Return a clause, as errors and findings are written, with a capital letter and a full stop."""
    return f"{clause[:1].upper()}{clause[1:]}."


def counted(count: int, what: str) -> str:
    """A number and its noun, plural unless the number is 1."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def size(count: int) -> str:
    """Bytes for people."""
    if count < _STEP:
        return f"{count} B"
    return f"{count / _STEP:.1f} KiB" if count < _STEP**2 else f"{count / _STEP**2:.1f} MiB"
