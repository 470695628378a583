"""Changes that an operator makes on a page: which one, on which attempt, and in whose name. Pure.

A form is accepted only with the secret of this process, which pages of other sites cannot read, and only for the
attempt that the operator saw.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from kallback.kafka import DeadLetterId
from kallback.protocol import KallbackError, Problem
from kallback.protocol.by_hand import Operator
from kallback.protocol.problems import DEFAULT_TYPE
from kallback.web import HttpHead, refused

FORM: Final = "application/x-www-form-urlencoded"
SECRET_FIELD: Final = "form_secret"  # noqa: S105 - a field's name
FINAL_FIELD: Final = "final"
"""Of a failure: no other attempt follows."""
PLAN_FIELD: Final = "plan"
"""The name of the list that the operator saw."""
_MAX_FIELDS: Final = 10
_FAILED_STATUS: Final = 500
MOST_REPLAYED: Final = 1000
MOST_PER_SECOND: Final = 1000
YES: Final = "1"
"""The value of a box that is ticked."""

MANY_ACTIONS: Final = ("fail", "cancel")
"""What can be done to many tasks."""

Fields = Mapping[str, str]
"""The fields of a form, as they were typed."""


class UnusableFormError(KallbackError):
    """A field of a form cannot be used; the sentence says which, and what to write."""


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


class ManyChange(msgspec.Struct, frozen=True):
    """A change to many tasks that an operator wants.

    Attributes:
        action: fail or cancel.
        plan: name of the list that the operator saw.
        problem: of `fail`.
        everything: the operator ticked the box that says so; needed where no filter chose.
    """

    action: ChangeAction
    plan: str
    operator: Operator
    problem: Problem
    everything: bool


class ReplayStep(StrEnum):
    """What is done with a replay."""

    CHECK = "check"
    SEND = "send"


class ReplayForm(msgspec.Struct, frozen=True):
    """Which dead letters an operator wants to replay.

    Attributes:
        letter: one dead letter; None: those with the reason and the type, empty for any.
        limit: dead letters at most, the oldest first.
        per_second: dead letters a second at most.
        again: those that were replayed before, too.
    """

    letter: DeadLetterId | None = None
    reason: str = ""
    task_type: str = ""
    limit: int = 100
    per_second: int = 50
    again: bool = False


class ReplayOrder(msgspec.Struct, frozen=True):
    """A replay that an operator has confirmed.

    Attributes:
        plan: name of the list that the check made.
    """

    plan: str
    operator: Operator


def check_same_site(head: HttpHead) -> None:
    """Refuse a form that a page of another site sent, or that is none.

    Raises:
        RefusedRequestError: with the reason.
    """
    host, site = head.values("host"), head.values("sec-fetch-site")
    origins = [origin.partition("://")[2] for origin in head.values("origin")]
    if (site and site != ["same-origin"]) or (origins and origins != host):
        detail = (
            "a page of another site sent this form: open the console's own page, and send it from there; or a proxy "
            "changed the header Host: let it pass Host on"
        )
        raise refused("other-site", HTTPStatus.FORBIDDEN, detail)
    if [value.partition(";")[0].strip().lower() for value in head.values("content-type")] != [FORM]:
        detail = "a change is a form: send it from the task's page"
        raise refused("unsupported-media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)


def read_fields(body: bytes, secret: str) -> Fields:
    """Read the fields of a form.

    Args:
        body: the form.
        secret: of this process.

    Raises:
        RefusedRequestError: the form is not one of this process.
    """
    try:
        fields = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except (ValueError, UnicodeDecodeError):
        fields = {}
    if not hmac.compare_digest(fields.get(SECRET_FIELD, "").encode(), secret.encode()):
        detail = "the form is not one of this console, or the console was restarted: open the page again"
        raise refused("unknown-form", HTTPStatus.FORBIDDEN, detail)
    return fields


def read_change(action: ChangeAction, fields: Fields, user: str) -> Change:
    """Read what an operator wants to do to a task.

    Args:
        action: from the address.
        fields: of the form.
        user: who sends it.

    Raises:
        UnusableFormError: a field cannot be used.
    """
    attempt = fields.get("attempt", "")
    if not (attempt.isascii() and attempt.isdigit() and len(attempt) < 7):  # noqa: PLR2004 - an attempt has six digits
        raise UnusableFormError("the attempt is not a number: open the task's page again")
    operator = _operator(fields, user)
    problem = _problem(fields, operator) if action is ChangeAction.FAIL else Problem()
    value = fields.get("value", "").strip().encode()
    if action is ChangeAction.COMPLETE and not value:
        raise UnusableFormError("the result is empty: write it as JSON, null if there is none")
    return Change(action, int(attempt), operator, value or b"null", problem)


def read_many(action: ChangeAction, fields: Fields, user: str) -> ManyChange:
    """Read what an operator wants to do to many tasks; raises as `read_change`."""
    operator = _operator(fields, user)
    problem = _problem(fields, operator) if action is ChangeAction.FAIL else Problem()
    return ManyChange(action, fields.get(PLAN_FIELD, ""), operator, problem, everything=fields.get("all") == YES)


def read_replay(fields: Fields, user: str) -> ReplayForm:
    """Read which dead letters an operator wants to replay; a check needs no reason.

    Raises:
        UnusableFormError: a field cannot be used, or nothing is chosen.
    """
    _named(user)
    letter, reason, task_type = letter_of(fields), fields.get("reason", "").strip(), fields.get("type", "").strip()
    if letter is None and not (reason or task_type or fields.get("all") == YES):
        raise UnusableFormError('nothing is chosen: give a reason or a type, or tick "All of them"')
    return ReplayForm(
        letter,
        reason,
        task_type,
        _number(fields, "limit", 100, MOST_REPLAYED),
        _number(fields, "rate", 50, MOST_PER_SECOND),
        again=fields.get("again") == YES,
    )


def read_order(fields: Fields, user: str) -> ReplayOrder:
    """Read which list of dead letters an operator replays, and why; raises as `read_change`."""
    return ReplayOrder(fields.get(PLAN_FIELD, ""), _operator(fields, user))


def letter_of(fields: Fields) -> DeadLetterId | None:
    """Return the dead letter that a form names; None if it names none.

    Raises:
        UnusableFormError: what it names is no id.
    """
    text = fields.get("id", "")
    letter = DeadLetterId.parse(text)
    if text and letter is None:
        raise UnusableFormError("the id of the dead letter is not PARTITION:OFFSET")
    return letter


def _operator(fields: Fields, user: str) -> Operator:
    why = " ".join(fields.get("why", "").split())
    if not why:
        raise UnusableFormError("the reason is empty: say why")
    return _named(user, why)


def _named(user: str, why: str = "") -> Operator:
    if not user:
        raise UnusableFormError(
            "nothing was sent: the proxy has not named you in the header of --user-header; log in there, or have the "
            "console started with the header that it sets"
        )
    try:
        return Operator(user, why)
    except ValueError as error:
        raise UnusableFormError(str(error)) from None


def _problem(fields: Fields, operator: Operator) -> Problem:
    kind, detail = fields.get("type", "").strip(), fields.get("detail", "").strip()
    retryable = False if fields.get(FINAL_FIELD) == YES else None  # None: the policy of the task type decides
    return Problem(kind or DEFAULT_TYPE, _FAILED_STATUS, detail or operator.sentence("failed"), retryable=retryable)


def _number(fields: Fields, name: str, default: int, highest: int) -> int:
    text = fields.get(name, "").strip() or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 7 and 1 <= int(text) <= highest):  # noqa: PLR2004 - no number here is longer
        raise UnusableFormError(f"the {name} is a number from 1 to {highest}")
    return int(text)
