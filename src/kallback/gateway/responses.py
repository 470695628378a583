"""What the gateway answers to a token. Pure.

Sentences about a token do not say which check failed: who holds a wrong one learns nothing of keys and topics.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from kallback.web import RefusedRequestError, refused

ACCEPTED: Final = "accepted"


def unauthorized(reason: str, detail: str) -> RefusedRequestError:
    """Return the refusal of a request whose token proves nothing."""
    return refused(reason, HTTPStatus.UNAUTHORIZED, detail, ("WWW-Authenticate", "Bearer"))


def unverified() -> RefusedRequestError:
    """Return the refusal of a token that is not valid here; the same for each reason."""
    return unauthorized(
        "unverified-token",
        "the token is not valid here: send the token of the task unchanged, to the gateway of its own environment",
    )
