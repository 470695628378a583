"""Heartbeat details: a JSON value that a task function sends while it works, and that its next attempt gets back."""

from __future__ import annotations

from typing import Any

import msgspec

from kallback.protocol.errors import InvalidProgressError
from kallback.protocol.progress import checked_details


def encode_details(details: Any) -> bytes:
    """Details as JSON; empty for None.

    Raises:
        InvalidProgressError: no JSON, or more than 16 KiB of it; the sentence says what to send instead.
    """
    if details is None:
        return b""
    try:
        encoded = msgspec.json.encode(details)
    except Exception as error:  # noqa: BLE001 - values of user types may raise anything while they are encoded
        raise InvalidProgressError(
            f"heartbeat details must be a JSON value: numbers, texts, lists, dicts, dataclasses ({error})"
        ) from None
    return checked_details(encoded)


def decode_details(details: bytes) -> Any:
    """Details as they were sent, None for none: an aid to the work, so what cannot be read counts as none."""
    try:
        return msgspec.json.decode(details) if details else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
