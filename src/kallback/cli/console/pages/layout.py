"""The frame of every page, and the pieces that pages are made of. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Final

from kallback.cli.console.pages.markup import Content, Markup, element, joined, with_commands
from kallback.web import HttpResponse
from kallback.web.messages import HTML

_PAGES: Final = {
    "/": "Overview",
    "/tasks": "Pending tasks",
    "/outcomes": "Outcomes",
    "/dead-letters": "Dead letters",
    "/processes": "Processes",
    "/settings": "Settings",
}
SECURITY: Final = (
    (
        "Content-Security-Policy",
        (
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"
        ),
    ),
    ("Referrer-Policy", "same-origin"),  # with no-referrer, browsers hide the origin of the console's own forms
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def page(
    title: str,
    *content: Content,
    section: str = "",
    refresh: int = 0,
    status: HTTPStatus = HTTPStatus.OK,
) -> HttpResponse:
    """Return a whole page.

    Args:
        title: its heading.
        content: below the heading.
        section: the address in the navigation that it belongs to.
        refresh: seconds after which the browser reads it again; 0: never.
        status: of the answer.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} - kallback"),
        element("link", rel="stylesheet", href="/static/console.css"),
        element("script", src="/static/console.js", defer=True),
    )
    links = [
        element("li", element("a", name, href=address, aria_current="page" if address == section else None))
        for address, name in _PAGES.items()
    ]
    body = element(
        "body",
        element("a", "Skip to the content", class_="skip", href="#main"),
        element("header", element("strong", "kallback"), element("nav", element("ul", *links), aria_label="Pages")),
        element("main", element("h1", title), *content, id="main", tabindex="-1"),
        element("footer", "Times are in UTC."),
        data_refresh=str(refresh) if refresh else None,
    )
    document = "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"
    return HttpResponse("page", status, document.encode("utf-8", "replace"), HTML, SECURITY)


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[Content]], *, numbers: int = 0) -> Markup:
    """Return a table that can be scrolled sideways; the last `numbers` columns are numbers."""
    first_number = len(headings) - numbers
    head = [
        element("th", name, scope="col", class_="number" if place >= first_number else None)
        for place, name in enumerate(headings)
    ]
    body = [
        element(
            "tr",
            *(element("td", cell, class_="number" if at >= first_number else None) for at, cell in enumerate(row)),
        )
        for row in rows
    ]
    if not body:
        return element("p", f"{caption}: none.")
    whole = element(
        "table", element("caption", caption), element("thead", element("tr", *head)), element("tbody", *body)
    )
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def facts(pairs: Iterable[tuple[str, Content]]) -> Markup:
    """Return names with their values; a value of None is left out."""
    return element(
        "dl", *(joined((element("dt", name), element("dd", value))) for name, value in pairs if value is not None)
    )


def trouble(sentence: str | Markup) -> Markup:
    """Return a sentence about what is wrong."""
    said = sentence if isinstance(sentence, Markup) else with_commands(sentence)
    return element("p", said, class_="error", role="status")
