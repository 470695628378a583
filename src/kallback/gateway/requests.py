"""What a request asks for, from its head alone. Pure.

    POST /v1/result       Authorization: Bearer TOKEN     a result, as JSON
    POST /v1/failure      Authorization: Bearer TOKEN     a problem object (RFC 9457)
    POST /v1/heartbeat    Authorization: Bearer TOKEN     details as JSON, or nothing
    POST /v1/TOKEN        the link of a task: as /v1/result
    POST /v1/TOKEN/failure, POST /v1/TOKEN/heartbeat
    POST /v1/TOKEN?form=FORM                              a button of the form in a link

Only POST completes anything: programs that open every link of a mail send GET.
"""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

import msgspec

from kallback.gateway.responses import unauthorized
from kallback.protocol.links import FORM_PARAMETER, GATEWAY_ROOT
from kallback.protocol.tokens import MAX_TOKEN_BYTES, PREFIX
from kallback.web import HttpHead, refused

_BEHIND_LINKS: Final = "/.,;:!?)]}>'\"*"
"""What mail programs and people leave behind a link: no token, and no action, ends in one of these."""
_BEARER: Final = "bearer"
_FORM_MEDIA: Final = "application/x-www-form-urlencoded"
_HOW: Final = "POST /v1/result, /v1/failure or /v1/heartbeat, with header Authorization: Bearer and the task's token"


class Action(StrEnum):
    """What a request does."""

    RESULT = "result"
    FAILURE = "failure"
    HEARTBEAT = "heartbeat"


class GatewayRequest(msgspec.Struct, frozen=True):
    """What a request asks for, before its token is verified. Hidden in repr.

    Attributes:
        form: text of the form whose button was pressed; empty if the body is JSON.
    """

    action: Action
    token: str
    form: str = ""

    def __repr__(self) -> str:
        return f"GatewayRequest({self.action})"


class LinkOpened(msgspec.Struct, frozen=True):
    """Someone, or a program, has opened the link of a task: nothing is completed. Hidden in repr.

    Attributes:
        form: text of the form in the link; empty without one.
    """

    token: str
    form: str

    def __repr__(self) -> str:
        return "LinkOpened()"


def read_head(head: HttpHead) -> GatewayRequest | LinkOpened:
    """Say what a request asks for.

    Raises:
        RefusedRequestError: nothing that the gateway does.
    """
    path, _, query = head.target.partition("?")
    path = unquote(path)  # some clients write %3A in place of the colons of a token
    if path.startswith(GATEWAY_ROOT + PREFIX):
        path = path.rstrip(_BEHIND_LINKS)
    in_path, action = _split(path)
    form = _form(query)
    if head.method != "POST":
        if in_path is not None and head.method in {"GET", "HEAD"}:
            return LinkOpened(in_path, form if action is Action.RESULT else "")
        detail = f"only POST completes a task: send {_HOW}"
        raise refused("method-not-allowed", HTTPStatus.METHOD_NOT_ALLOWED, detail, ("Allow", "POST"))
    if form and in_path is not None and action is Action.RESULT and _media(head) == _FORM_MEDIA:
        return GatewayRequest(action, _token(head, in_path), form)
    _check_content_type(head)
    return GatewayRequest(action, _token(head, in_path))


def has_form(head: HttpHead) -> bool:
    """Whether a request is one of a person who sees a form, good or bad: of a link with one, as clients write it."""
    path, _, query = head.target.partition("?")
    return path.startswith(GATEWAY_ROOT + PREFIX.rstrip(":")) and bool(_form(query))


def _form(query: str) -> str:
    """The text of a form in the query of a link; empty without one."""
    for part in query.split("&"):  # programs that count clicks add parameters of their own
        name, _, text = part.partition("=")
        if name == FORM_PARAMETER:
            return unquote(text).rstrip(_BEHIND_LINKS)
    return ""


def _split(path: str) -> tuple[str | None, Action]:
    """Return the token in a path, if there is one, and the action."""
    rest = path.removeprefix(GATEWAY_ROOT)
    if rest != path and len(rest) <= MAX_TOKEN_BYTES + len("/heartbeat"):
        if rest.startswith(PREFIX):
            token, slash, name = rest.partition("/")
            name = name if slash else Action.RESULT
        else:
            token, name = None, rest
        if name in list(Action):
            return token, Action(name)
    raise refused("not-found", HTTPStatus.NOT_FOUND, f"there is nothing here: send {_HOW}")


def _token(head: HttpHead, in_path: str | None) -> str:
    given = head.values("authorization")
    if in_path is not None:
        if given:
            detail = "the link has a token, and so has header Authorization: send one of them"
            raise refused("ambiguous-token", HTTPStatus.BAD_REQUEST, detail)
        return in_path
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    token = token.strip()
    if scheme.lower() != _BEARER or not token:
        raise unauthorized("no-token", "there is no token: send one header Authorization: Bearer with the task's token")
    return token


def _check_content_type(head: HttpHead) -> None:
    """Refuse what a web page of another site can send, which also has no JSON."""
    media = _media(head)
    is_json = media == "application/json" or (media.startswith("application/") and media.endswith("+json"))
    if head.values("content-type") and not is_json:
        detail = "the body must be JSON: send header Content-Type: application/json"
        raise refused("unsupported-media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)


def _media(head: HttpHead) -> str:
    """The media type of the body; empty for none, or several."""
    given = head.values("content-type")
    return given[0].partition(";")[0].strip().lower() if len(given) == 1 else ""
