"""What follows a form, and what is refused."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

import msgspec

from kallback.cli.console.changes import ReplayForm
from kallback.cli.console.pages.forms import fields_of, replay_confirmation
from kallback.cli.console.pages.layout import SECURITY, page, trouble
from kallback.cli.console.pages.markup import Markup, element
from kallback.cli.console.replays import ReplayCheck
from kallback.cli.formatting import as_sentence
from kallback.protocol import Problem
from kallback.web import HttpResponse


def sent_page(task_id: str) -> HttpResponse:
    """Return the page after a change."""
    return page(
        "Sent",
        element(
            "p",
            "Kafka has it, and the bridge treats it like any result. The outcome record says what became of it.",
        ),
        element("p", element("a", f"Task {task_id}", href=f"/tasks/{quote(task_id)}")),
        section="/tasks",
    )


def redirect(address: str) -> HttpResponse:
    """Return the answer to a form: the browser opens a page, and a reload does not send the form again."""
    return HttpResponse("changed", HTTPStatus.SEE_OTHER, b"", "text/plain", (*SECURITY, ("Location", address)))


def error_page(
    title: str, sentence: str, status: HTTPStatus, section: str = "", *, back: str | None = None
) -> HttpResponse:
    """Return a page that says what is wrong; `back` is the address of the page that the operator came from."""
    link = None if back is None else element("p", element("a", "Back", href=back))
    return page(title, trouble(sentence), link, section=section, status=status)


def refused_form_page(title: str, sentence: str, status: HTTPStatus, form: Markup, back: str) -> HttpResponse:
    """Return a form that was refused, with the sentence that says why; `back` is the address of the page it is on."""
    link = element("p", element("a", "Back", href=back))
    return page(title, trouble(sentence), form, link, section=f"/{back.split('/')[1]}", status=status)


def refusal_page(response: HttpResponse) -> HttpResponse:
    """Return the refusal of a request as a page, with its status and its headers."""
    problem = msgspec.json.decode(response.body, type=Problem)
    sentence = as_sentence(problem.detail)
    shown = error_page("This is not possible", sentence, response.status, back="/")
    return msgspec.structs.replace(shown, outcome=response.outcome, headers=(*shown.headers, *response.headers))


def replay_check_page(form: ReplayForm, check: ReplayCheck, secret: str) -> HttpResponse:
    """Return what a replay would do, with the form that does it."""
    confirm = replay_confirmation(fields_of(form), secret) if check.total else None
    return page("Replay", *_paragraphs(check), confirm, _to_letters(), section="/dead-letters")


def replayed_page(done: ReplayCheck) -> HttpResponse:
    """Return what a replay did."""
    return page("Replayed", *_paragraphs(done), _to_letters(), section="/dead-letters")


def _paragraphs(check: ReplayCheck) -> list[Markup]:
    return [element("p", sentence) for sentence in check.sentences]


def _to_letters() -> Markup:
    return element("p", element("a", "Dead letters", href="/dead-letters"))
