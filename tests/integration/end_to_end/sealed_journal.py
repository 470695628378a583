"""A codec of the journal that encrypts, as an application has it: `codec`, its `provider`, `other` with another key."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

from restate import JournalValueCodec

_NONCE: Final = 16
_TAG: Final = 32


class SealingCodec(JournalValueCodec):
    """A keystream of SHA-256 and a tag, for tests: what was changed, or was never encoded, is refused."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encode(self, buf: bytes) -> bytes:
        """Nonce, tag and ciphertext."""
        nonce = os.urandom(_NONCE)
        sealed = self._mixed(nonce, buf)
        return nonce + self._tag(nonce, sealed) + sealed

    async def decode(self, buf: bytes) -> bytes:
        """The plaintext; a handler without input has empty bytes."""
        if not buf:
            return b""
        nonce, tag, sealed = buf[:_NONCE], buf[_NONCE : _NONCE + _TAG], buf[_NONCE + _TAG :]
        if not hmac.compare_digest(tag, self._tag(nonce, sealed)):
            raise ValueError("not sealed with this key")
        return self._mixed(nonce, sealed)

    def _tag(self, nonce: bytes, sealed: bytes) -> bytes:
        return hmac.digest(self._key, nonce + sealed, "sha256")

    def _mixed(self, nonce: bytes, buf: bytes) -> bytes:
        stream = hashlib.shake_256(self._key + nonce).digest(len(buf))
        return bytes(a ^ b for a, b in zip(buf, stream, strict=True))


class MaskingCodec(JournalValueCodec):
    """Masks each byte: what was never encoded is decoded as well, to something else."""

    def encode(self, buf: bytes) -> bytes:
        """Mask it."""
        return bytes(each ^ 0x55 for each in buf)

    async def decode(self, buf: bytes) -> bytes:
        """Unmask it."""
        return self.encode(buf)


masking = MaskingCodec()
codec = SealingCodec(b"1" * 32)
other = SealingCodec(b"2" * 32)


async def provider() -> SealingCodec:
    """Build it, as after a key was fetched."""
    return codec
