"""The pages of a link that is opened: opening completes nothing. Pure.

A link without a form has the same page, good or bad. With a form, whose signature was verified, its question and its
buttons are shown; a button is a POST to the same link. Each text is escaped, and the pages have no scripts.
"""

from __future__ import annotations

import html
from http import HTTPStatus
from typing import Final
from unicodedata import category
from urllib.parse import parse_qs

from kallback.gateway.responses import ACCEPTED
from kallback.protocol.links import Choice, Form
from kallback.web import refused
from kallback.web.messages import HTML, HttpResponse

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{title}</title></head>
<body><main>{content}</main></body></html>
"""
_CHOICE: Final = "choice"
_MAX_BODY_BYTES: Final = 256
"""Of a form with one field."""
_MAX_FIELDS: Final = 4
_DIRECTIONS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Embeddings, overrides and isolates of bidirectional text."""
_TITLE: Final = "A task waits for an answer"
_LINK: Final = f"""<h1>{_TITLE}</h1>
<p>This link answers one task, once. Opening it has answered nothing.</p>
<p>To answer, send a POST request with the answer as JSON to this address. Add <code>/failure</code> to refuse.</p>
"""
_FIRST: Final = "<p>The first answer counts.</p>"
_ANSWERED_BEFORE: Final = "This question was answered before"
_NOT_TAKEN: Final = "Nothing was sent. Wait a moment, go back, and press the button again."
_REFUSALS: Final = {
    "unverified-token": "This link is not valid. Open it as you received it, whole and unchanged.",
    "no-choice": "Nothing was sent. Go back, and press one of the buttons.",
    "busy": _NOT_TAKEN,
    "too-slow": _NOT_TAKEN,
    "too-large": "Nothing was sent: the answer is too large. Tell those who sent you this link.",
    "too-many-requests": "Nothing was sent: too many requests came from your network. Wait a moment, and try again.",
}
_CLOSED: Final = "The time for an answer is over. Nothing was sent now; an earlier answer is not affected."
_LATER: Final = "It is not known whether your answer was sent. Go back, and press the button again; twice does no harm."
_JUST_OVER: Final = "The time for an answer is just over. An answer that is sent now may not count."
_AFTER_DEADLINE: Final = "The time for an answer was just over, so it may not count."


def form_page(form: Form, *, first: str = "", is_late: bool) -> HttpResponse:
    """Return the question with a button for each answer.

    Args:
        form: question and answers.
        first: label of the answer that was sent before; empty if none is known.
        is_late: the deadline has passed, but answers are still taken, because clocks may differ.
    """
    buttons = " ".join(
        f'<button name="{_CHOICE}" value="{number}" dir="auto">{_text(each.label)}</button>'
        for number, each in enumerate(form.choices)
    )
    lines = "".join(f'<p dir="auto">{_text(line)}</p>' for line in form.question.splitlines() if line.strip())
    late = f"<p><strong>{_JUST_OVER}</strong></p>" if is_late else ""
    before = f"<p><strong>{_ANSWERED_BEFORE}: <bdi>{_text(first)}</bdi></strong></p>" if first else ""
    content = f'{lines}{late}{before}<form method="post">{buttons}</form>{_FIRST}'
    return _page("page", HTTPStatus.OK, "A question for you", content, form_action="'self'")


def chosen(form: Form, body: bytes) -> Choice:
    """Return the answer whose button was pressed.

    Raises:
        RefusedRequestError: it is none of the form.
    """
    try:
        fields = parse_qs(body[: _MAX_BODY_BYTES + 1].decode("ascii"), max_num_fields=_MAX_FIELDS)
    except ValueError:
        fields = {}
    numbers = fields.get(_CHOICE, [])
    for number, choice in enumerate(form.choices):
        if numbers == [str(number)] and len(body) <= _MAX_BODY_BYTES:
            return choice
    raise refused("no-choice", HTTPStatus.UNPROCESSABLE_ENTITY, "no answer of the form was chosen: press a button")


def answered_page(label: str, *, first: str = "", is_late: bool) -> HttpResponse:
    """Return what a person sees whose answer Kafka has; `first` is the label of one that was sent before it."""
    late = f"<p>{_AFTER_DEADLINE}</p>" if is_late else ""
    title = _ANSWERED_BEFORE if first else "Thank you"
    before = f"<p>The answer that was sent before yours: <bdi>{_text(first)}</bdi></p>" if first else ""
    sent = f"<p>Your answer was sent: <bdi>{_text(label)}</bdi></p>"
    return _page(ACCEPTED, HTTPStatus.ACCEPTED, title, f"<h1>{title}</h1>{before}{sent}{_FIRST}{late}")


def refusal_page(response: HttpResponse) -> HttpResponse:
    """Return a refusal, which is a problem object, as a page with the same status."""
    title, sentence = "Not answered", _REFUSALS.get(response.outcome, _LATER)
    if response.outcome == "late":  # also seen by people who have answered and open the link again
        title, sentence = "This question is closed", _CLOSED
    page = _page(response.outcome, response.status, title, f"<h1>{title}</h1><p>{sentence}</p>")
    return HttpResponse(page.outcome, page.status, page.body, HTML, (*response.headers, *page.headers))


def _page(outcome: str, status: HTTPStatus, title: str, content: str, *, form_action: str = "'none'") -> HttpResponse:
    policy = f"default-src 'none'; base-uri 'none'; form-action {form_action}; frame-ancestors 'none'"
    headers = (("Content-Security-Policy", policy), ("Referrer-Policy", "no-referrer"))
    return HttpResponse(outcome, status, _PAGE.format(title=title, content=content).encode(), HTML, headers)


def _text(text: str) -> str:
    """Text in which nothing is markup, without characters that control a terminal or the direction of what follows.

    A question may quote a customer: with the latter its figures would be shown in another order than they are signed.
    """
    return html.escape("".join(char for char in text if category(char) != "Cc" and char not in _DIRECTIONS))


LINK_PAGE: Final = _page("page", HTTPStatus.OK, _TITLE, _LINK)
"""The same for each link without a form, good or bad."""
