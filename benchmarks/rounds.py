"""The order of measurements: each round begins with another one, so that none always has the same predecessor. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def rotated(items: Sequence[Item], number: int) -> list[Item]:
    """The items of round `number` (counted from 1): the first round takes them as they are."""
    start = (number - 1) % len(items) if items else 0
    return [*items[start:], *items[:start]]
