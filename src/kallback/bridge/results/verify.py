"""Whether a result record proves where it came from. Pure."""

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
"""What a record completes: a task's attempt, or an awakeable of which nothing more is known."""


class Trust(msgspec.Struct, frozen=True):
    """What proves a record: keys and audience, and whether a bare awakeable id will do."""

    keyring: Keyring
    audience: str
    allow_bare: bool = False


class Verified(msgspec.Struct, frozen=True, gc=False):
    """A record of proven origin; what it answers is not looked at yet.

    Attributes:
        target: what it completes.
        result: the record as it was read, with the token's text.
        identity: stands for the token in memory: a verified token's tag (nothing else has the same, short of
            breaking the MAC), or the bare awakeable id.
    """

    target: Target
    result: ResultRecord
    identity: str


def verify(value: bytes | None, headers: Headers, trust: Trust) -> Verified:
    """Find the token of a result record and prove it.

    Raises:
        UnverifiedError: nothing proves where the record came from; the reason says why.
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
            "a bare awakeable id proves nothing, so it is no token here: send the task's token, "
            "or start the bridge with --allow-bare-awakeables",
        )
    return BareAwakeable(parse_awakeable_id(text))
