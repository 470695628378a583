"""Verifies the token of a result record, and says whether it comes too late.

Whoever takes results does it with these functions: the bridge, which completes, and the gateway, which hands results
over to Kafka. So both accept the same tokens.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kallback.protocol.awakeables import PREFIX as AWAKEABLE_PREFIX
from kallback.protocol.awakeables import parse_awakeable_id
from kallback.protocol.errors import UnverifiedError
from kallback.protocol.frameworks.conventions import DETECTED, Conventions
from kallback.protocol.headers import Headers
from kallback.protocol.outcomes import Unverified
from kallback.protocol.results import ResultRecord, read_result
from kallback.protocol.tokens import BareAwakeable, Keyring, Token, UnverifiedToken

TAG_LENGTH: Final = 22

Target = Token | BareAwakeable
"""What a record completes: an attempt of a task, or an awakeable of which nothing more is known."""


class Trust(msgspec.Struct, frozen=True):
    """How a record is read and authenticated.

    Attributes:
        keyring: what verifies tokens.
        audience: what they must be valid for.
        allow_bare: a bare awakeable id is accepted in place of a token.
        conventions: what marks failures, for each task type.
    """

    keyring: Keyring
    audience: str
    allow_bare: bool = False
    conventions: Conventions = DETECTED


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


class UnverifiedResult(msgspec.Struct, frozen=True):
    """A record that is not authenticated, and why."""

    reason: str
    detail: str


def verify(value: bytes | None, headers: Headers, trust: Trust) -> Verified:
    """Find the token of a result record and verify it.

    Raises:
        UnverifiedError: the record is not authenticated; the reason says why.
    """
    found = check_result(value, headers, trust)
    if isinstance(found, UnverifiedResult):
        raise UnverifiedError(found.reason, found.detail)
    return found


def check_result(value: bytes | None, headers: Headers, trust: Trust) -> Verified | UnverifiedResult:
    """Do so without raising: a flood of forged tokens costs no exception each."""
    try:
        result = read_result(value, headers, trust.conventions)
        text = result.token
        if text.startswith(AWAKEABLE_PREFIX):
            return Verified(_bare(text, trust), result, text)
    except UnverifiedError as error:
        return UnverifiedResult(str(error.reason), error.detail)
    token = trust.keyring.check(text, trust.audience)
    if isinstance(token, UnverifiedToken):
        return UnverifiedResult(token.reason.value, token.detail)
    return Verified(token, result, identity_of(text))


def identity_of(token: str) -> str:
    """Return what identifies a verified token in memory: its tag."""
    return token[-TAG_LENGTH:]


def is_late(target: Target, now_ms: float, grace_ms: float) -> bool:
    """Whether the handler waits no longer: the deadline has passed by more than the grace, both in milliseconds."""
    return isinstance(target, Token) and bool(target.deadline_ms) and now_ms > target.deadline_ms + grace_ms


def _bare(text: str, trust: Trust) -> BareAwakeable:
    if not trust.allow_bare:
        raise UnverifiedError(
            Unverified.BARE_AWAKEABLE,
            "a bare awakeable id is not signed, so it is not accepted in place of a token: send the task's token, "
            "or start the bridge with --allow-bare-awakeables",
        )
    return BareAwakeable(parse_awakeable_id(text))
