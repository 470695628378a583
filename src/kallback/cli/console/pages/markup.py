"""HTML that is built of elements: text is escaped where it is put in, so that no page can show what it should not.

There are no templates: what a page needs is a parameter of a function that type checkers read, and text from outside
(requests, reasons, headers) becomes markup in one place.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final

from kallback.cli.formatting import escape, redact

_VOID: Final = frozenset({"input", "link", "meta", "br"})


class Markup(str):
    """Text that is HTML already. Only this module makes it."""

    __slots__ = ()


Content = str | Markup | None
"""What is put into an element: text, which is escaped, or markup; None for nothing."""


def element(tag: str, *content: Content, **attributes: str | bool | None) -> Markup:
    """Return an element.

    Args:
        tag: its name.
        content: in this order.
        attributes: a trailing underscore is dropped and other underscores become hyphens; True: without a value; None
            or False: left out.
    """
    written = "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{_attribute(str(value))}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{joined(content)}</{tag}>")


def joined(content: Iterable[Content]) -> Markup:
    """Return contents one after the other."""
    return Markup("".join(each if isinstance(each, Markup) else text(each) for each in content if each is not None))


def text(value: str) -> Markup:
    """Return text as markup: tokens are shortened, control characters shown, and the rest escaped."""
    return Markup(html.escape(escape(redact(value), lines=True)))


def with_commands(sentence: str) -> Markup:
    """Return a sentence of an error; a command, which stands between grave accents there, is an element."""
    parts = sentence.split("`")
    if len(parts) % 2 == 0:  # one of them has no other: it is part of a name
        return text(sentence)
    return joined(element("code", part) if at % 2 else part for at, part in enumerate(parts))


def _attribute(value: str) -> str:
    return html.escape(escape(value))
