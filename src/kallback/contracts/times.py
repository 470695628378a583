"""The format of times in a schema, which msgspec says only of those with a constraint of their time zone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import inspect

from kallback.contracts.keywords import dict_of

_FORMATS: Final[dict[type, str]] = {inspect.DateTimeType: "date-time", inspect.TimeType: "time"}
_KINDS: Final[dict[type, str]] = {
    **dict.fromkeys(_FORMATS, "string"),
    **dict.fromkeys((inspect.ListType, inspect.SetType, inspect.VarTupleType, inspect.TupleType), "array"),
    inspect.DictType: "object",
}


def name_times(info: Any, schema: Any) -> None:
    """Add the formats to the schema of a type, which stay what they are where there are some.

    Args:
        info: what `msgspec.inspect` says of the type.
        schema: is changed; members of classes are not looked at, they have definitions of their own.
    """
    members = dict_of(schema)
    if members is None:
        return
    if type(info) in _FORMATS and members.get("type") == "string":
        members.setdefault("format", _FORMATS[type(info)])
    for part, inner in _parts(info, members):
        name_times(part, inner)


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
