"""Refuses checks of pydantic's on members that msgspec reads: it does not know them, so they would not run.

`Annotated[int, pydantic.Field(gt=0)]` in a dataclass looks like a bound, and -4 would pass. A pydantic model checks it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

_PACKAGES: Final = ("annotated_types", "pydantic")
_NO_CHECKS: Final = ("AllowInfNan", "DocInfo", "SkipJsonSchema", "Strict", "Unit", "WithJsonSchema")
"""What says nothing about values, or what msgspec does anyway."""


def refuse_ignored_checks(declared: Any, place: str) -> None:
    """Refuse a type, as it is annotated at a place, that has a check of pydantic's outside of a pydantic model.

    Raises:
        TypeError: names the check, the place and the remedy.
    """
    if get_origin(declared) is Annotated:
        for note in declared.__metadata__:
            check = _check_in(note)
            if check is not None:
                raise TypeError(
                    f"{check} on {place} would not run, as only pydantic knows it: declare the bound with "
                    "msgspec.Meta, or the member in a pydantic.BaseModel"
                )
        refuse_ignored_checks(declared.__origin__, place)
        return
    for part in get_args(declared):
        refuse_ignored_checks(part, place)


def refuse_ignored_checks_of_members(declared: Any) -> None:
    """Refuse a class with such a member.

    Raises:
        TypeError: as above.
    """
    owner = get_origin(declared) or declared
    for name, hint in get_type_hints(owner, include_extras=True).items():
        refuse_ignored_checks(hint, f"{owner.__qualname__}.{name}")


def _check_in(note: object) -> str | None:
    """The name of the check that a note makes; None if it makes none."""
    kind = type(note)
    if kind.__module__.partition(".")[0] not in _PACKAGES or kind.__name__ in _NO_CHECKS:
        return None
    if kind.__name__ == "FieldInfo":  # a title or a description says nothing about values
        return "pydantic.Field" if any(map(_check_in, getattr(note, "metadata", ()))) else None
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
