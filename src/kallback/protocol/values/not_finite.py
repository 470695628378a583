"""Finds NaN and infinity in a value: encoders write them as `null`, and the reader would take that for an answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from kallback.protocol.values.places import members
from kallback.protocol.values.pydantic_models import is_model


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
        parts.extend([(place + step, member) for step, member in members(part)][::-1])
    return None
