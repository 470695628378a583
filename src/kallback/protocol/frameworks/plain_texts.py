"""Texts that frameworks write without quotes, as JSON."""

from __future__ import annotations

from typing import Final

from kallback.protocol.errors import DecodeError, EncodeError
from kallback.protocol.values.codecs import Codec, check_json

_TEXT: Final = Codec[str](str)


def quoted(body: bytes) -> bytes | None:
    """Return the JSON text of a text; None if the bytes are no text."""
    try:
        return _TEXT.encode(body.decode())
    except (UnicodeDecodeError, EncodeError):
        return None


def text_without_quotes(body: bytes) -> bytes:
    """Return the JSON text of what is no JSON; what is JSON, empty or no text stays as it is."""
    if not body:
        return body
    try:
        check_json(body)
    except DecodeError:
        return quoted(body) or body
    return body
