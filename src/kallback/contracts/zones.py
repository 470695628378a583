"""Times that must have a zone, and those that must not: the format `date-time` of JSON Schema is the same for both."""

from __future__ import annotations

from typing import Final

_WITH_ZONE: Final = "([Zz]|[+-][0-9]{2}:?[0-9]{2})$"
_WITHOUT_ZONE: Final = "^([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ])?[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?$"


def zone_pattern(*, has_zone: bool | None) -> str | None:
    """The pattern of a time with a zone, or of one without; None if it may be either."""
    if has_zone is None:
        return None
    return _WITH_ZONE if has_zone else _WITHOUT_ZONE
