"""Which dead letters belong to a task. Pure."""

from __future__ import annotations

from kallback.kafka import DeadLetter
from kallback.protocol import UnverifiedError, read_claims
from kallback.protocol.headers import TASK_ID, TOKEN


def concerns(letter: DeadLetter, task_id: str) -> bool:
    """Whether a dead letter claims to belong to a task. It need not be verified: people look at it."""
    headers = dict(letter.headers)
    if headers.get(TASK_ID) == task_id.encode():
        return True
    try:
        return read_claims((headers.get(TOKEN) or b"").decode()).token.task_id == task_id
    except (UnverifiedError, UnicodeDecodeError):
        return False
