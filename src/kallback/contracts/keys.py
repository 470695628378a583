"""The keys of maps: which texts they may be. In JSON each key is a text, also that of a `dict[int, V]`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final

from msgspec import inspect

from kallback.contracts.keywords import Schema, dict_of, schema_of
from kallback.contracts.values import listed

_INTEGER: Final[dict[str, Any]] = {"pattern": "^-?(0|[1-9][0-9]*)$"}
_NUMBER: Final[dict[str, Any]] = {"pattern": r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"}
_FLOAT: Final[dict[str, Any]] = {"anyOf": [_INTEGER, _NUMBER]}
"""Both, because whoever writes integers is read by whoever reads numbers."""
_DECIMAL: Final[dict[str, Any]] = {"format": "decimal"}
_OF_TYPE: Final[Mapping[type, dict[str, Any]]] = {
    inspect.IntType: _INTEGER,
    inspect.FloatType: _FLOAT,
    inspect.DecimalType: _DECIMAL,
    inspect.DateTimeType: {"format": "date-time"},
    inspect.DateType: {"format": "date"},
    inspect.TimeType: {"format": "time"},
    inspect.TimeDeltaType: {"format": "duration"},
    inspect.UUIDType: {"format": "uuid"},
    inspect.BytesType: {"contentEncoding": "base64"},
}
_BOUNDS: Final[Mapping[str, str]] = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}
_OF_PYDANTIC: Final[Mapping[object, dict[str, Any]]] = {"int": _INTEGER, "float": _FLOAT, "decimal": _DECIMAL}


def keys_schema(info: object) -> dict[str, Any] | None:
    """The schema of a map's keys; None where any text is one, or msgspec's own schema says which.

    Args:
        info: what `msgspec.inspect` says of the keys' type.
    """
    if isinstance(info, inspect.UnionType):
        parts = [keys_schema(each) for each in info.types]
        known = [each for each in parts if each is not None]
        return {"anyOf": known} if len(known) == len(parts) else None
    if isinstance(info, inspect.EnumType):
        return _enum(member.value for member in info.cls)
    if isinstance(info, inspect.LiteralType):
        return _enum(info.values)
    found = _OF_TYPE.get(type(info))
    return None if found is None else found | _bounds(lambda name: getattr(info, name, None))


def pydantic_keys_schema(core: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema of a map's keys that pydantic leaves out; None for other keys.

    Args:
        core: pydantic's `keys_schema` of the map.
    """
    if core.get("type") == "literal":
        return _enum(core["expected"])
    found = _OF_PYDANTIC.get(core.get("type"))
    return None if found is None else found | _bounds(core.get)


def _bounds(constraint: Callable[[str], object]) -> dict[str, Any]:
    """The bounds of numbers as keys. They say nothing of texts to a validator; a comparison of contracts uses them."""
    found = {keyword: constraint(name) for name, keyword in _BOUNDS.items()}
    return {keyword: bound for keyword, bound in found.items() if isinstance(bound, (int, float))}


def _enum(values: Iterable[object]) -> dict[str, Any]:
    return {"enum": [str(each.value if isinstance(each, Enum) else each) for each in values]}


def keys_and_values(schema: dict[str, Any]) -> tuple[Schema, Schema]:
    """The schema of the keys of a map, and of their values; `True` for both where a schema does not say.

    A single entry of `patternProperties` is how pydantic describes a map whose keys have a pattern.
    """
    patterns = dict_of(schema.get("patternProperties"))
    if patterns is not None and len(patterns) == 1 and "additionalProperties" not in schema:
        (pattern, values), *_ = patterns.items()
        return {"type": "string", "pattern": pattern}, True if (it := schema_of(values)) is None else it
    names, values = schema_of(schema.get("propertyNames", True)), schema_of(schema.get("additionalProperties", True))
    return True if names is None else names, True if values is None else values


def as_texts(schema: Schema) -> Schema:
    """The schema of a key, resolved, as that of a text: pydantic lists the numbers of an enum as numbers."""
    if isinstance(schema, bool):
        return schema
    values = listed(schema)
    if values is not None:
        return {"type": "string", "enum": [each if isinstance(each, str) else str(each) for each in values]}
    branches = [{**each, "type": "string"} for each in schema.get("anyOf", ())]
    return {**schema, "type": "string"} | ({"anyOf": branches} if branches else {})
