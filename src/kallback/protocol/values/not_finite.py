"""Finds NaN and infinity in a value: encoders write them as `null`, and the reader would take that for an answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec

from kallback.protocol.values.declared_types import is_model


def find_not_finite(value: Any, to_known: Callable[[Any], Any]) -> str | None:
    """The place of the first NaN or infinity, such as `$.items[2].price`; None if there is none.

    Args:
        value: what is to be sent.
        to_known: turns what msgspec does not know into something that it knows.
    """

    def hook(part: Any) -> Any:
        return part.model_dump(mode="json", by_alias=True) if is_model(part) else to_known(part)

    parts = [("$", msgspec.to_builtins(value, enc_hook=hook))]
    while parts:
        place, part = parts.pop()
        if isinstance(part, float) and not math.isfinite(part):
            return place
        parts.extend(_members(place, part))
    return None


def _members(place: str, value: Any) -> list[tuple[str, Any]]:
    """The members of a container, the first one last."""
    named: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        named = [(f"{place}.{name}", part) for name, part in cast("Mapping[Any, Any]", value).items()]
    elif isinstance(value, (list, tuple)):
        named = [(f"{place}[{index}]", part) for index, part in enumerate(cast("Sequence[Any]", value))]
    return named[::-1]
