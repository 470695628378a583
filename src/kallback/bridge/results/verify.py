"""Verifies the token of a result record. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from kallback.protocol import (
    BareAwakeable,
    Keyring,
    ResultRecord,
    Token,
    Unverified,
    UnverifiedError,
    parse_awakeable_id,
    read_result,
)
from kallback.protocol.awakeables import PREFIX as AWAKEABLE_PREFIX
from kallback.protocol.headers import Headers

TAG_LENGTH: Final = 22

Target = Token | BareAwakeable
"""What a record completes: an attempt of a task, or an awakeable of which nothing more is known."""


class Trust(msgspec.Struct, frozen=True):
    """What authenticates a record: keys and audience, and whether a bare awakeable id is accepted."""

    keyring: Keyring
    audience: str
    allow_bare: bool = False


class Verified(msgspec.Struct, frozen=True, gc=False):
    """An authenticated record; its value is not looked at yet.

    Attributes:
        target: what it completes.
        result: the record as it was read, with the token's text.
        identity: identifies the token in memory: the tag of a verified token (unique, unless the MAC is broken), or
            the bare awakeable id.
    """

    target: Target
    result: ResultRecord
    identity: str


def verify(value: bytes | None, headers: Headers, trust: Trust) -> Verified:
    """Find the token of a result record and verify it.

    Raises:
        UnverifiedError: the record is not authenticated; the reason says why.
    """
    result = read_result(value, headers)
    text = result.token
    if text.startswith(AWAKEABLE_PREFIX):
        return Verified(_bare(text, trust), result, text)
    return Verified(trust.keyring.verify(text, trust.audience), result, text[-TAG_LENGTH:])


def _bare(text: str, trust: Trust) -> BareAwakeable:
    if not trust.allow_bare:
        raise UnverifiedError(
            Unverified.BARE_AWAKEABLE,
            "a bare awakeable id is not signed, so it is not accepted in place of a token: send the task's token, "
            "or start the bridge with --allow-bare-awakeables",
        )
    return BareAwakeable(parse_awakeable_id(text))
