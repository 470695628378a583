"""Changes that an operator makes on a page: which one, on which attempt, and in whose name. Pure.

A form is accepted only with the secret of this process, which pages of other sites cannot read, and only for the
attempt that the operator saw.
"""

from __future__ import annotations

import hmac
from enum import StrEnum
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from kallback.protocol import Problem
from kallback.protocol.by_hand import Operator
from kallback.protocol.problems import DEFAULT_TYPE
from kallback.web import HttpHead, refused

FORM: Final = "application/x-www-form-urlencoded"
SECRET_FIELD: Final = "form_secret"  # noqa: S105 - a field's name
_MAX_FIELDS: Final = 10
_FAILED_STATUS: Final = 500


class ChangeAction(StrEnum):
    """What is done to a task."""

    COMPLETE = "complete"
    FAIL = "fail"
    RETRY = "retry"
    CANCEL = "cancel"


class Change(msgspec.Struct, frozen=True):
    """A change that an operator wants.

    Attributes:
        attempt: the number of the attempt that the operator saw.
        value: of `complete`: JSON.
        problem: of `fail`.
    """

    action: ChangeAction
    attempt: int
    operator: Operator
    value: bytes
    problem: Problem


def check_same_site(head: HttpHead) -> None:
    """Refuse a form that a page of another site sent, or that is none.

    Raises:
        RefusedRequestError: with the reason.
    """
    host, site = head.values("host"), head.values("sec-fetch-site")
    origins = [origin.partition("://")[2] for origin in head.values("origin")]
    if (site and site != ["same-origin"]) or (origins and origins != host):
        detail = "a page of another site sent this form: open the console's own page, and send it from there"
        raise refused("other-site", HTTPStatus.FORBIDDEN, detail)
    if [value.partition(";")[0].strip().lower() for value in head.values("content-type")] != [FORM]:
        detail = "a change is a form: send it from the task's page"
        raise refused("unsupported-media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)


def read_change(action: ChangeAction, body: bytes, secret: str, user: str) -> Change:
    """Read a form.

    Args:
        action: from the address.
        body: the form.
        secret: of this process.
        user: who sends it.

    Raises:
        RefusedRequestError: the form is not one of this process.
        ValueError: a field cannot be used; the sentence says which.
    """
    try:
        fields = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except (ValueError, UnicodeDecodeError):
        fields = {}
    if not hmac.compare_digest(fields.get(SECRET_FIELD, "").encode(), secret.encode()):
        detail = "the form is not one of this console, or the console was restarted: open the task's page again"
        raise refused("unknown-form", HTTPStatus.FORBIDDEN, detail)
    attempt = fields.get("attempt", "")
    if not (attempt.isascii() and attempt.isdigit() and len(attempt) < 7):  # noqa: PLR2004 - an attempt has six digits
        raise ValueError("the attempt is not a number")
    return Change(
        action,
        int(attempt),
        Operator(user, " ".join(fields.get("why", "").split())),
        fields.get("value", "").strip().encode() or b"null",
        Problem(fields.get("type", "").strip() or DEFAULT_TYPE, _FAILED_STATUS, fields.get("detail", "").strip()),
    )
