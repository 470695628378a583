"""Requests and answers, and the refusals that every server has. Pure.

Each refusal is an RFC 9457 problem object whose sentence says what to do, and whose member `help` is the address
of its entry in the documentation.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec

from kallback.documentation import error_entry
from kallback.protocol import Problem

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
HTML: Final = "text/html; charset=utf-8"
_RETRY_S: Final = 5


class HttpHead(msgspec.Struct, frozen=True):
    """The head of a request. It may hold a token: hidden in repr.

    Attributes:
        headers: names in lower case, in their order.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """The values of a header, in their order."""
        return [value for key, value in self.headers if key == name]

    def __repr__(self) -> str:
        return f"HttpHead({len(self.headers)} headers)"


class HttpResponse(msgspec.Struct, frozen=True):
    """An answer.

    Attributes:
        outcome: `accepted`, `page`, or why the request is refused; a label of metrics.
        headers: beside type and length.
    """

    outcome: str
    status: HTTPStatus
    body: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()


class RefusedRequestError(Exception):
    """Ends the handling of a request; a signal between the functions of this package, which no caller sees.

    Attributes:
        response: what the client is told.
    """

    def __init__(self, response: HttpResponse) -> None:
        super().__init__(response.outcome)
        self.response: Final = response


def refused(
    reason: str, status: HTTPStatus, detail: str, *headers: tuple[str, str], retry_after: float | None = None
) -> RefusedRequestError:
    """Return the refusal of a request.

    Args:
        status: of the answer.
        reason: a word, which is the last part of the problem's type and a label of metrics.
        detail: one sentence with the remedy.
        headers: beside type and length.
        retry_after: seconds after which the same request may succeed; None if a retry changes nothing.
    """
    own_type = f"urn:kallback:{reason}"
    problem = Problem(
        type=own_type,
        title=status.phrase,
        status=status,
        detail=detail,
        retryable=retry_after is not None,
        retry_after=retry_after,
        extensions={"help": error_entry(own_type)},
    )
    wait = () if retry_after is None else (("Retry-After", str(max(1, round(retry_after + 0.5)))),)
    return RefusedRequestError(HttpResponse(reason, status, problem.encode() + b"\n", PROBLEM, (*headers, *wait)))


def unavailable(reason: str, detail: str) -> RefusedRequestError:
    """Return the refusal of a request that may succeed later."""
    return refused(reason, HTTPStatus.SERVICE_UNAVAILABLE, detail, retry_after=_RETRY_S)


def too_large(what: str) -> RefusedRequestError:
    """Return the refusal of a body that is too large; `what` says for whom."""
    detail = f"{what}: store the value elsewhere, and send a reference to it"
    return refused("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def too_slow(seconds: float) -> RefusedRequestError:
    """Return the refusal of a request that did not arrive in time."""
    return refused(
        "too-slow",
        HTTPStatus.REQUEST_TIMEOUT,
        f"the request was not complete after {seconds:g} s: send it again",
        retry_after=0,
    )


def busy() -> RefusedRequestError:
    """Return the refusal of a request for which there is no memory now."""
    return unavailable("busy", "the server has no room for the body now: send it again later")


def broken(status: HTTPStatus, detail: str) -> RefusedRequestError:
    """Return the refusal of what is no request of HTTP/1.1."""
    return refused("bad-request", status, detail)


def internal() -> RefusedRequestError:
    """Return the answer to a request that a defect of the server ended."""
    return refused(
        "internal",
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "the server failed, and its log says why: send the request again",
        retry_after=_RETRY_S,
    )
