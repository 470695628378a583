"""What msgspec leaves out of the schema of a type: the formats and zones of times, and which keys a map may have.

msgspec says the format only of times with a constraint of their time zone, and of keys only the length and pattern of
texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import inspect

from kallback.contracts.keys import keys_schema
from kallback.contracts.keywords import dict_of
from kallback.contracts.zones import zone_pattern

_FORMATS: Final[dict[type, str]] = {inspect.DateTimeType: "date-time", inspect.TimeType: "time"}
_KINDS: Final[dict[type, str]] = {
    **dict.fromkeys(_FORMATS, "string"),
    **dict.fromkeys((inspect.ListType, inspect.SetType, inspect.VarTupleType, inspect.TupleType), "array"),
    inspect.DictType: "object",
}


def add_omissions(info: Any, schema: Any) -> None:
    """Add the formats of times and the keys of maps to the schema of a type, where it does not say them.

    Args:
        info: what `msgspec.inspect` says of the type.
        schema: is changed; members of classes are not looked at, they have definitions of their own.
    """
    members = dict_of(schema)
    if members is None:
        return
    if type(info) in _FORMATS and members.get("type") == "string":
        members.setdefault("format", _FORMATS[type(info)])
        if (pattern := zone_pattern(has_zone=info.tz)) is not None:
            members.setdefault("pattern", pattern)
    if isinstance(info, inspect.DictType) and (keys := keys_schema(info.key_type)) is not None:
        members.setdefault("propertyNames", keys)
    for part, inner in _parts(info, members):
        add_omissions(part, inner)


def _parts(info: Any, schema: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    if isinstance(info, inspect.UnionType):
        choices = schema.get("anyOf", [])
        for each in info.types:  # a union has at most one type of each JSON type
            kind = _KINDS.get(type(each))
            yield from ((each, choice) for choice in choices if kind is not None and choice.get("type") == kind)
    elif isinstance(info, inspect.TupleType):
        yield from zip(info.item_types, schema.get("prefixItems", ()), strict=False)
    elif isinstance(info, inspect.DictType):
        yield info.value_type, schema.get("additionalProperties")
    elif hasattr(info, "item_type"):
        yield info.item_type, schema.get("items")
