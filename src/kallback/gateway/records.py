"""From a verified request to the record that a worker would write. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from kallback.gateway.requests import Action, GatewayRequest
from kallback.gateway.responses import unverified
from kallback.kafka import OutgoingRecord
from kallback.protocol import (
    DecodeError,
    InvalidProgressError,
    Signal,
    TaskType,
    Token,
    UnusableResultError,
    checked_details,
    completed_headers,
    failed_headers,
    progress_headers,
    read_result,
)
from kallback.protocol.headers import TOKEN
from kallback.protocol.links import Form, read_form
from kallback.protocol.results import Completed
from kallback.protocol.verification import Trust, is_late, verify
from kallback.settings import Topics
from kallback.web import refused

TaskTypes = Mapping[str, TaskType[Any, Any]]
NO_TYPES: Final[TaskTypes] = {}


class VerifiedRequest(msgspec.Struct, frozen=True):
    """A request whose token is good. Hidden in repr.

    Attributes:
        text: the token as it was sent; a secret.
        token: what it says.
        form: whose button was pressed; None if the body is JSON.
    """

    action: Action
    text: str
    token: Token
    form: Form | None = None

    def __repr__(self) -> str:
        return f"VerifiedRequest({self.action}, {self.token!r})"


def verify_request(request: GatewayRequest, trust: Trust, *, now_ms: float, grace_ms: float) -> VerifiedRequest:
    """Verify the token of a request with the bridge's own function.

    Raises:
        UnverifiedError: the token proves nothing; the reason is for the operator, not for the client.
        RefusedRequestError: the handler waits no longer, or the form is not one of this token.
    """
    target = verify(None, ((TOKEN, request.token.encode()),), trust).target
    if not isinstance(target, Token):
        raise AssertionError("a gateway trusts no bare awakeable id")  # noqa: TRY004 - a defect, not a wrong argument
    if is_late(target, now_ms, grace_ms):
        raise refused("late", HTTPStatus.GONE, "the deadline of the task has passed: its handler waits no longer")
    form = read_form(request.form, request.token, trust.keyring) if request.form else None
    if request.form and form is None:
        raise unverified()
    return VerifiedRequest(request.action, request.token, target, form)


def record_of(
    request: VerifiedRequest, body: bytes, topics: Topics, *, now_ms: int, task_types: TaskTypes = NO_TYPES
) -> OutgoingRecord:
    """Return the record that a worker would write.

    A result of one of the `task_types`, which are given by name, must fit it; results of others are not checked.

    Raises:
        RefusedRequestError: the body is not what the action needs.
    """
    key = request.token.task_id.encode()
    if request.action is Action.HEARTBEAT:
        headers = progress_headers(request.text, Signal.HEARTBEAT, now_ms)
        return OutgoingRecord(topics.progress, _details(body), key, headers)
    if request.action is Action.RESULT and not body.strip():
        raise refused("empty-body", HTTPStatus.UNPROCESSABLE_ENTITY, _EMPTY)
    headers = (failed_headers if request.action is Action.FAILURE else completed_headers)(request.text)
    try:
        answer = read_result(body, headers).answer()
    except UnusableResultError as error:
        raise refused(str(error.reason), HTTPStatus.UNPROCESSABLE_ENTITY, f"{error.detail}: {_NOTHING_SENT}") from None
    task_type = task_types.get(request.token.task_type)
    if isinstance(answer, Completed) and task_type is not None:
        _check_fit(answer.value, task_type)
    return OutgoingRecord(topics.results, body, key, headers)


def _check_fit(value: bytes, task_type: TaskType[Any, Any]) -> None:
    try:
        task_type.result_codec.decode(value)
    except DecodeError as error:
        detail = f"the result does not fit task type {task_type.name}, it {error}: {_NOTHING_SENT}"
        raise refused("unfit-result", HTTPStatus.UNPROCESSABLE_ENTITY, detail) from None


def _details(body: bytes) -> bytes:
    try:
        return checked_details(body)
    except InvalidProgressError as error:
        raise refused(
            "invalid-details", HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}: correct the body, and send it again"
        ) from None


_EMPTY: Final = (
    'the body is empty: send the result as JSON, such as true or {"approved": true}; a result without a value is null, '
    "which must be written"
)
_NOTHING_SENT: Final = "nothing was written, so correct the body, and send it again with the same token"
