"""Which dead letters belong to a task. Pure."""

from __future__ import annotations

from kallback.kafka import DeadLetter
from kallback.protocol import Attempt, Token, UnverifiedError, read_claims
from kallback.protocol.headers import TASK_ID, TOKEN


def concerns(letter: DeadLetter, task_id: str) -> bool:
    """Whether a dead letter claims to belong to a task. It need not be verified: people look at it."""
    return task_id in tasks_of(letter)


def tasks_of(letter: DeadLetter) -> frozenset[str]:
    """The tasks that a dead letter claims to belong to: one, or none, or two if header and token differ."""
    named, claims = dict(letter.headers).get(TASK_ID), _claims(letter)
    found = [*([] if claims is None else [str(claims.task_id)]), *([named.decode(errors="replace")] if named else [])]
    return frozenset(found)


def attempt_of(letter: DeadLetter) -> Attempt | None:
    """The attempt that a dead letter claims to belong to; None if its token says nothing."""
    claims = _claims(letter)
    return None if claims is None else claims.attempt


def _claims(letter: DeadLetter) -> Token | None:
    try:
        return read_claims((dict(letter.headers).get(TOKEN) or b"").decode()).token
    except (UnverifiedError, UnicodeDecodeError):
        return None
