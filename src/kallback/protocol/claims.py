"""What a token says, before anything proves it: for people who look at one, never to decide on.

`Keyring.verify` answers yes or no in a few microseconds and says little about a malformed token. This module
says which part is wrong. Nothing of the text is quoted: what is no token may be a secret of another kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from kallback.protocol.awakeables import parse_awakeable_id
from kallback.protocol.errors import UnverifiedError
from kallback.protocol.outcomes import Unverified
from kallback.protocol.tokens import MAX_TOKEN_BYTES, PARTS, PREFIX, Attempt, TaskId, Token

_WORDS: Final = {
    "kid": "the key id: 1 to 16 letters, digits, '_' or '-'",
    "type": "the task type: 1 to 128 letters, digits, '.', '_' or '-'",
    "task": "the task id: 16 characters of base64url",
    "attempt": "the attempt: a number from 1 to 999999",
    "awakeable": "the awakeable id: sign_1 and 38 characters of base64url",
    "deadline": "the deadline: epoch milliseconds, 0 for none",
    "tag": "the tag: 22 characters of base64url",
}

_PARTS: Final = {name: re.compile(pattern, re.ASCII) for name, pattern in PARTS.items()}


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says.

    Attributes:
        key_id: the key that is said to have signed it.
        token: what it is said to complete.
    """

    key_id: str
    token: Token


def read_claims(text: str) -> Claims:
    """Read a token without proving it.

    Raises:
        UnverifiedError: it is malformed, or names an awakeable that no token may name; the detail says which part.
    """
    if not text.startswith(PREFIX):
        raise _malformed(f"it does not begin with {PREFIX}")
    if len(text) > MAX_TOKEN_BYTES:
        raise _malformed(f"it has {len(text)} characters, a token has {MAX_TOKEN_BYTES} at most")
    values = text.split(":")[1:]
    if len(values) != len(PARTS):
        raise _malformed(
            f"it has {len(values) + 1} parts between its colons, a token has {len(PARTS) + 1}: was it cut?"
        )
    parts = dict(zip(PARTS, values, strict=True))
    for place, (name, value) in enumerate(parts.items(), start=2):
        if _PARTS[name].fullmatch(value) is None:
            raise _malformed(f"part {place} must be {_WORDS[name]}")
    token = Token(
        task_type=parts["type"],
        task_id=TaskId(parts["task"]),
        attempt=Attempt(int(parts["attempt"])),
        awakeable_id=parse_awakeable_id(parts["awakeable"]),
        deadline_ms=int(parts["deadline"]),
    )
    return Claims(parts["kid"], token)


def _malformed(what: str) -> UnverifiedError:
    return UnverifiedError(Unverified.MALFORMED_TOKEN, f"not a token: {what}")
