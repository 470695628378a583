"""What answers say as JSON: compared by meaning, and searched for texts. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from kallback.protocol import Completed, Failed
from kallback.wire_check.observed import SeenAnswer


def meaning(answer: SeenAnswer) -> object:
    """An answer as JSON means it."""
    match answer.content:
        case Completed(value):
            return ("completed", _loaded(value))
        case Failed(error):
            return ("failed", _loaded(error))
        case _:
            return answer.content


def texts_of_answer(answer: SeenAnswer) -> set[str]:
    """All texts in a completed answer."""
    return texts_of(answer.content.value) if isinstance(answer.content, Completed) else set()


def texts_of(value: bytes) -> set[str]:
    """All texts in a JSON value, names of members among them."""
    return set(_strings(_loaded(value)))


def _strings(value: Any) -> Iterator[str]:
    members: Any = value
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for each in [*members, *(members.values() if isinstance(value, dict) else ())]:
            yield from _strings(each)


def _loaded(value: bytes) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
