"""The beginning of a value, for the error that a caller gets.

A worker that reports a failure in a way that no one knows says there what happened. Not for logs of
bridges: values are private there.
"""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 200
"""Characters: the sentence is kept in Restate's journal, and logged by the caller."""


def excerpt(value: bytes) -> str:
    """Return the beginning of a value as one line that a terminal shows harmlessly."""
    text = " ".join(value[: 4 * _LONGEST].decode("utf-8", "replace").split())
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return "".join(each if each.isprintable() else "\ufffd" for each in short)
