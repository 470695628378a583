"""Refuses signing keys that are no secret: published ones, constant bytes, and text that happens to decode.

A key that anyone can guess authenticates nothing, and nothing else would tell: tokens are signed and verified as with a
good one. Every rule here refuses a key of 32 random bytes with a chance below one in a million.
"""

from __future__ import annotations

import itertools
import re
from typing import Final

from kallback.protocol.errors import InvalidKeyError
from kallback.protocol.tokens import decode_key

_REMEDY: Final = "make a random one with: echo k1:$(openssl rand -base64 32)"
_PUBLISHED: Final = frozenset(
    {
        b"kallback-insecure-published-development-key",
        decode_key("PUT-THE-OUTPUT-OF-openssl-rand--base64-32-HERE"),  # .env.example
    }
)
_MIN_DISTINCT_BYTES: Final = 16  # 32 random bytes have 30 distinct ones on average
_MIN_DISTINCT_LETTERS: Final = 19  # 43 random letters of 64 have 31
_MIN_CHANGES: Final = 12  # between capitals, small letters and digits: 43 random letters have 27
_MIN_HEX_DIGITS: Final = 64  # 32 bytes
_MIN_DISTINCT_HEX_DIGITS: Final = 9  # 64 random digits of 16 have 16
_HEX: Final = re.compile(r"[0-9a-f]+|[0-9A-F]+", re.ASCII)
_NO_LETTERS: Final = re.compile(r"[^A-Za-z0-9]", re.ASCII)


def refuse_weak_keys(text: str) -> None:
    """Check each key of a `KALLBACK_KEYS` text that has been parsed already.

    Raises:
        InvalidKeyError: a key is no secret; the sentence names its id, the reason and a command that makes a good one.
    """
    for entry in filter(None, (part.strip() for part in text.split(","))):
        key_id, _, encoded = entry.partition(":")
        weakness = weakness_of(encoded)
        if weakness is not None:
            raise InvalidKeyError(f"signing key {key_id!r} {weakness}, so anyone can forge tokens: {_REMEDY}")


def weakness_of(encoded: str) -> str | None:
    """Say why a key, in base64, is no secret; None if nothing speaks against it."""
    key = decode_key(encoded)
    if key in _PUBLISHED:
        return "is published with kallback's sources"
    decoded = _as_text(key)
    if _is_random_hex(decoded):
        return None
    if len(set(key)) < _MIN_DISTINCT_BYTES:
        return f"has only {len(set(key))} different bytes"
    if decoded or _reads_like_text(encoded.rstrip("=")):
        return "is text, not random bytes"
    steps = {(after - before) % 256 for before, after in itertools.pairwise(key)}
    if len(steps) == 1:
        return "is a sequence of numbers"
    return None


def _as_text(key: bytes) -> str:
    """The decoded key where it is printable text itself, such as base64 of a pass phrase; else nothing."""
    text = key.decode("latin-1").strip()
    return text if text.isascii() and text.isprintable() else ""


def _reads_like_text(text: str) -> bool:
    """Whether letters repeat, or keep their case, far more than those of random base64 or hexadecimal digits do."""
    if _is_random_hex(text):
        return False
    letters = _NO_LETTERS.sub("", text)
    changes = sum(_kind(before) != _kind(after) for before, after in itertools.pairwise(letters))
    return len(set(letters)) < _MIN_DISTINCT_LETTERS or changes < _MIN_CHANGES


def _is_random_hex(text: str) -> bool:
    is_hex = _HEX.fullmatch(text) is not None
    return is_hex and len(text) >= _MIN_HEX_DIGITS and len(set(text)) >= _MIN_DISTINCT_HEX_DIGITS


def _kind(letter: str) -> int:
    return 0 if letter.isdigit() else 1 if letter.isupper() else 2
