"""What follows a form, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import quote

import msgspec

from kallback.cli.console.changes import PLAN_FIELD
from kallback.cli.console.pages.forms import replay_confirmation
from kallback.cli.console.pages.layout import SECURITY, page, trouble
from kallback.cli.console.pages.markup import Markup, element
from kallback.cli.console.pages.values import REFRESH_S
from kallback.cli.console.replays import ReplayCheck, ReplayDone
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


def answer_address(name: str) -> str:
    """Return the address of the kept answer to a form."""
    return f"/answers/{name}"


def replay_address(name: str) -> str:
    """Return the address of the page of a checked replay."""
    return f"/dead-letters/replay/{name}"


def gone_answer_page() -> HttpResponse:
    """Return the page in place of an answer that is not kept any more."""
    sentence = (
        "The console keeps the last answers only, until it ends. A look at this page sends nothing: the outcomes and "
        "the dead letters say what became of it."
    )
    return error_page("No such answer", sentence, HTTPStatus.NOT_FOUND, back="/")


def gone_replay_page() -> HttpResponse:
    """Return the page in place of a checked replay that is not kept any more."""
    sentence = "This list was sent, or is too old. A look at this page sends nothing: check the replay again."
    return error_page("No such replay", sentence, HTTPStatus.NOT_FOUND, "/dead-letters", back="/dead-letters")


def running_replay_page() -> HttpResponse:
    """Return the page in place of a checked replay that is being sent; it leads to the answer."""
    sentence = "This list is being sent. The answer is shown here when it has ended."
    return page("Replay", element("p", sentence), _to_letters(), section="/dead-letters", refresh=REFRESH_S)


def replay_check_page(check: ReplayCheck, secret: str) -> HttpResponse:
    """Return what a replay would do, with the form that does it."""
    confirm = replay_confirmation({PLAN_FIELD: check.name}, secret) if check.total else None
    return page("Replay", *_paragraphs(check.sentences), confirm, _to_letters(), section="/dead-letters")


def replayed_page(done: ReplayDone) -> HttpResponse:
    """Return what a replay did."""
    early = None if done.error is None else trouble(f"It ended before the last one: {done.error}.")
    return page("Replayed", *_paragraphs(done.sentences), early, _to_letters(), section="/dead-letters")


def _paragraphs(sentences: Iterable[str]) -> list[Markup]:
    return [element("p", sentence) for sentence in sentences]


def _to_letters() -> Markup:
    return element("p", element("a", "Dead letters", href="/dead-letters"))
