"""Secrets of cancels: workers without keys can check that a cancel comes from the origin of its task.

The header `kallback-cancel-hash` of a task has the hash of a secret, the cancel has the secret. The caller derives both
from its signing key, so that a replay and every process with the same key derive the same. A worker that holds the task
knows the hash only, and cannot write a cancel.

A cancel of attempt n covers the attempts up to n, and must not help to forge a cancel of attempt n + 1. Therefore the
secrets of attempts that follow each other form a chain: the secret of attempt n is the hash of the secret of attempt
n + 1. A worker hashes the secret of a cancel again and again; if one of the first `CHAIN_LENGTH` hashes is that of its
task, the cancel is authentic. A chain ends after `CHAIN_LENGTH` attempts, and the next one begins from another seed: so
the work is bounded, and a cancel covers the attempts of its own chain only. A cancel of all attempts has the last
secret of its chain.

The hash of a text is the base64url text, without padding, of its SHA-256. Texts are compared, in constant time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from kallback.protocol.tokens import Attempt, Keyring, TaskId

CHAIN_LENGTH: Final = 16
"""Attempts in one chain. Each costs the caller one hash (about 0.6 µs); few tasks have more attempts."""
HASH_CHARACTERS: Final = 43
"""Base64url characters of 32 bytes: the length of a secret, and of its hash."""
_CONTEXT: Final = "kallback-cancel-secret"  # no token begins so: a tag is never a secret


def cancel_secret(keyring: Keyring, key_id: str, task_id: TaskId, attempt: Attempt) -> str | None:
    """The secret of a cancel that covers the attempts up to this one; None if the key is not in the keyring."""
    chain, position = divmod(attempt - 1, CHAIN_LENGTH)
    seed = keyring.derive(key_id, f"{_CONTEXT}\n{task_id}\n{chain}")
    if seed is None:
        return None
    secret = _text(seed)
    for _ in range(CHAIN_LENGTH - 1 - position):
        secret = hash_of(secret)
    return secret


def last_of_chain(attempt: Attempt) -> Attempt:
    """The attempt whose secret covers all attempts of this one's chain."""
    return Attempt(attempt + (-attempt) % CHAIN_LENGTH)


def hash_of(secret: str) -> str:
    """The hash of a secret: of a task's secret it is the header `kallback-cancel-hash`."""
    return _text(hashlib.sha256(secret.encode()).digest())


def proves(secret: str, cancel_hash: str) -> bool:
    """Whether a cancel with this secret comes from the origin of the task with this hash."""
    wanted = cancel_hash.encode()
    for _ in range(CHAIN_LENGTH):
        secret = hash_of(secret)
        if hmac.compare_digest(secret.encode(), wanted):
            return True
    return False


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
