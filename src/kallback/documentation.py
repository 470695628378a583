"""Where the documentation is: errors, reasons and help texts lead to its pages, those of this version."""

from __future__ import annotations

import re
from typing import Final

from kallback import __version__

SITE: Final = "https://kallback.github.io/kallback/"
"""As pyproject.toml and mkdocs.yml have it; who hosts a fork changes it in all three, and a test compares them."""

_OWN_TYPES: Final = "urn:kallback:"
_WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def page_address(name: str, anchor: str = "") -> str:
    """Return the address of a page, or of a section of it."""
    version = ".".join(__version__.split(".")[:2])
    return f"{SITE}{version}/{name}/{f'#{anchor}' if anchor else ''}"


def error_entry(name: str) -> str:
    """Return the address of an error's entry: of a problem type such as `urn:kallback:late`, or of a class."""
    return page_address("errors", entry_anchor(name))


def dead_letter_entry(reason: str) -> str:
    """Return the address of the entry of a reason of dead letters."""
    return page_address("dead-letters", entry_anchor(reason))


def entry_anchor(name: str) -> str:
    """Return the anchor of an entry: `urn:kallback:timed-out` has `timed-out`, `WireError` has `wire-error`."""
    return _WORDS.sub("-", name.removeprefix(_OWN_TYPES)).lower()
