"""Results that frameworks write in their own way: error replies, and texts without quotes.

An error of NestJS has a null value, which would be a completed `null`; one of Spring or SmallRye has some payload,
which would be a completed value. `kallback.protocol.frameworks.conventions` says how each is marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from kallback.protocol.errors import DecodeError
from kallback.protocol.frameworks.conventions import EVENT_TYPE, NESTJS_DISPOSED, Convention, FailureMarks
from kallback.protocol.frameworks.given_up_requests import LONGEST_DETAIL, NO_WORDS, problem_of_given_up_request
from kallback.protocol.frameworks.plain_texts import quoted, text_without_quotes
from kallback.protocol.headers import CONTENT_TYPE, DEAD_REASON
from kallback.protocol.problems import DEFAULT_TYPE, UNEXPECTED_ERROR, Problem
from kallback.protocol.values.codecs import Codec, parse_object

_FLAGS: Final = frozenset({"", "true", "1", "null"})
"""Values that say nothing more."""
_NO_MEMBERS: Final[Mapping[str, Any]] = {}
_TEXT: Final = Codec[str](str)


def foreign_problem(found: Mapping[str, bytes], body: bytes, marks: FailureMarks) -> bytes | None:
    """Return the problem object of a result that is an error in a framework's way; None if it is none.

    Args:
        found: the headers with the role of a mark.
        body: the record's value.
        marks: what marks an error of this task type.
    """
    if marks.detected and DEAD_REASON not in found:  # a dead letter of kallback was a result, and has Spring's names
        problem = problem_of_given_up_request(found)  # first: its value is the request, which is no problem object
        if problem is not None:
            return problem
    for name, content in found.items():
        if marks.is_error(name, content):
            return problem_of_error_header(content, body)
    return problem_of_error_header(b"", body) if found.get(EVENT_TYPE) in marks.event_types else None


def foreign_text(found: Mapping[str, bytes], body: bytes, convention: Convention) -> bytes:
    """Return a value as JSON: the text of one that a framework wrote without quotes, or the value as it is.

    FastStream says so in the content type, and so do CloudEvents in binary mode. NestJS does not, and writers of events
    are careless with it: there what is JSON stays what it is.
    """
    is_text = found.get(CONTENT_TYPE, b"").strip().lower().startswith(b"text/plain")
    if convention is Convention.FASTSTREAM and is_text:
        text = quoted(body)
        return body if text is None else text
    if NESTJS_DISPOSED in found or (convention is Convention.CLOUDEVENTS and is_text):
        return text_without_quotes(body)
    return body


def problem_of_error_header(header: bytes, value: bytes | None) -> bytes:
    """Return the problem object of an error reply.

    Args:
        header: the value of the error header; empty for a null value. The members of an object are the problem's:
            NestJS sends the argument of its `RpcException`.
        value: the record's value. An object is the problem; a text is a part of the detail.
    """
    body = value or b""
    if body.lstrip().startswith(b"{"):
        return _with_detail(body, _words(header))
    words = [text for text in (_words(header), _words(body)) if text not in _FLAGS]
    detail = (": ".join(dict.fromkeys(words)) or NO_WORDS)[:LONGEST_DETAIL]
    return _encoded(_members(header), detail)


def _with_detail(body: bytes, words: str) -> bytes:
    """Return a problem object, byte for byte unless the header alone says what happened."""
    members = _NO_MEMBERS if words in _FLAGS else _members(body)
    if not members or isinstance(members.get("detail"), str):
        return body
    return _encoded({**members, "detail": words[:LONGEST_DETAIL]}, words)


def _encoded(members: Mapping[str, Any], detail: str) -> bytes:
    own = Problem.from_members(members)
    return Problem(
        type=UNEXPECTED_ERROR if own.type == DEFAULT_TYPE else own.type,
        status=_status(members),
        detail=own.detail[:LONGEST_DETAIL] or detail,
        title=own.title,
        retryable=own.retryable,
        retry_after=own.retry_after,
        extensions={name: value for name, value in own.extensions.items() if name not in _SAID},
    ).encode()


def _status(members: Mapping[str, Any]) -> int:
    """NestJS's `RpcException` says `"status": "error"`, its `HttpException` a number, as status or as statusCode."""
    code = members.get("status") if isinstance(members.get("status"), int) else members.get("statusCode")
    return Problem.from_members({"status": code}).status


_SAID: Final = frozenset({"message", "statusCode"})
"""Members that are the detail and the status."""


def _members(data: bytes) -> Mapping[str, Any]:
    try:
        return parse_object(data) if data.lstrip().startswith(b"{") else {}
    except DecodeError:
        return {}


def _words(data: bytes) -> str:
    """A JSON text, the `message` of a JSON object, or the bytes as text."""
    text = data.decode("utf-8", "replace").strip()
    try:
        if text.startswith("{"):
            return _message(parse_object(data)) or text
        return _TEXT.decode(data) if text.startswith('"') else text
    except DecodeError:
        return text


def _message(members: Mapping[str, Any]) -> str:
    """NestJS's validation sends a list of texts; an `HttpException` has what was said in its `response`."""
    response = members.get("response")
    inner = cast("dict[str, Any]", response).get("message") if isinstance(response, dict) else None
    return _said(inner) or _said(members.get("message"))


def _said(message: object) -> str:
    if isinstance(message, list):
        texts = [each for each in cast("list[object]", message) if isinstance(each, str)]
        return "; ".join(texts) if len(texts) == len(cast("list[object]", message)) else ""
    return message if isinstance(message, str) else ""
