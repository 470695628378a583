"""Names the place of a part of a value, such as `$.items[2].price`, as msgspec does when it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast


def members(value: Any) -> Iterator[tuple[str, Any]]:
    """The members of a container or of an object, each with its step of the place."""
    if isinstance(value, Mapping):
        yield from ((f".{name}", value[name]) for name in value)  # pyright: ignore[reportUnknownVariableType] - of any value
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"[{index}]", part) for index, part in enumerate(cast("list[Any]", value)))
    else:
        kind = cast("Any", type(value))
        names: Iterable[str] = getattr(kind, "__dataclass_fields__", getattr(kind, "__struct_fields__", ()))
        yield from ((f".{name}", getattr(value, name, None)) for name in names)


def place_of(value: Any, is_fine: Callable[[Any], bool]) -> str:
    """The deepest part that is not fine; each part around it is not fine, either."""
    place = "$"
    while (found := next(((step, part) for step, part in members(value) if not is_fine(part)), None)) is not None:
        place, value = place + found[0], found[1]
    return place
