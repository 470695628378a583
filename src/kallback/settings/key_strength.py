"""Refuses signing keys that are no secret: published ones, constant bytes, text that decodes, digests of words.

A key that anyone can guess authenticates nothing, and nothing else would tell: tokens are signed and verified as with a
good one. Every rule here refuses a key of 32 random bytes with a chance below one in a million.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from functools import cache
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
_WORDS: Final = (
    "",
    *("admin", "apikey", "apple", "bridge", "callback", "change-me", "change_me", "changeit", "changeme", "default"),
    *("demo", "dev", "development", "dummy", "example", "foo", "foobar", "hello", "hello world", "hmac", "hmac-key"),
    *("insecure", "iloveyou", "k1", "k2", "kafka", "kallback", "key", "key1", "key2", "letmein", "local", "localhost"),
    *("master", "my-secret", "mysecret", "mykey", "pass", "passphrase", "passw0rd", "password", "password1"),
    *("password123", "placeholder", "prod", "production", "qwerty", "restate", "root", "sample", "secret", "secret1"),
    *("secretkey", "secret-key", "secret_key", "signing-key", "signing_key", "signingkey", "staging", "supersecret"),
    *("super-secret", "super_secret", "test", "test-key", "testing", "testkey", "token", "topsecret", "top-secret"),
    *("welcome", "worker", "0", "1", "1234", "12345", "123456", "1234567", "12345678", "123456789", "1234567890"),
)
"""What a person in a hurry gives to a hash function."""
_HASHES: Final = ("sha256", "sha384", "sha512", "sha3_256", "sha3_512", "blake2b", "blake2s")
_NO_LETTERS: Final = re.compile(r"[^A-Za-z0-9]", re.ASCII)


def refuse_weak_keys(text: str) -> None:
    """Check each key of a `KALLBACK_KEYS` text that has been parsed already.

    Raises:
        InvalidKeyError: a key is no secret, or stands under two ids; the sentence names its id, the reason and a
            command that makes a good one.
    """
    ids: dict[bytes, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        key_id, _, encoded = entry.partition(":")
        first = ids.setdefault(decode_key(encoded), key_id)
        if first != key_id:
            raise InvalidKeyError(
                f"signing keys {first!r} and {key_id!r} are the same secret, so whoever knows one knows both: {_REMEDY}"
            )
        weakness = weakness_of(encoded)
        if weakness is not None:
            raise InvalidKeyError(f"signing key {key_id!r} {weakness}, so anyone can forge tokens: {_REMEDY}")


def weakness_of(encoded: str) -> str | None:
    """Say why a key, in base64, is no secret; None if nothing speaks against it."""
    key = decode_key(encoded)
    return _known(key, encoded) or _looks_made(key, encoded)


def _known(key: bytes, encoded: str) -> str | None:
    """Say where anyone can find the key; None if nowhere."""
    if any(published in key for published in _PUBLISHED):
        return "is published with kallback's sources"
    if key in _digests_of_words() or {encoded.lower(), _as_text(key).lower()} & _hex_digests():
        return "is the digest of a well-known word"
    return None


def _looks_made(key: bytes, encoded: str) -> str | None:
    """Say what shows that the key is not random; None if nothing does."""
    decoded = _as_text(key)
    if _is_random_hex(decoded):
        return None
    if len(set(key)) < _MIN_DISTINCT_BYTES:
        return f"has only {len(set(key))} different bytes"
    if decoded or _is_utf8(key) or _reads_like_text(encoded.rstrip("=")):
        return "is text, not random bytes"
    if key in (key + key)[1:-1]:
        return "repeats itself"
    steps = {(after - before) % 256 for before, after in itertools.pairwise(key)}
    if len(steps) == 1:
        return "is a sequence of numbers"
    return None


@cache
def _digests_of_words() -> frozenset[bytes]:
    """The digests of each word, in three spellings, with and without the newline that `echo` adds."""
    spellings = {
        each + end for word in _WORDS for each in (word, word.capitalize(), word.upper()) for end in ("", "\n")
    }
    return frozenset(hashlib.new(name, text.encode()).digest() for name in _HASHES for text in spellings)


@cache
def _hex_digests() -> frozenset[str]:
    return frozenset(digest.hex() for digest in _digests_of_words())


def _as_text(key: bytes) -> str:
    """The decoded key where it is printable text itself, such as base64 of a pass phrase; else nothing."""
    text = key.decode("latin-1").strip()
    return text if text.isascii() and text.isprintable() else ""


def _is_utf8(key: bytes) -> bool:
    """Whether the key is text of any language: 32 random bytes are, once in a hundred million."""
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True


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
