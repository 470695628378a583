"""What values a JSON Schema describes, apart from their members: kinds, listed values, bounds; and how it is named."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

from kallback.contracts.keywords import Schema, list_of

KINDS: Final = ("null", "boolean", "integer", "number", "string", "array", "object")
_INTEGER: Final = frozenset({"integer"})
_LISTED_AT_MOST: Final = 8
"""Values that a sentence lists."""
_LENGTHS: Final = (("minLength", "maxLength", "characters"), ("minItems", "maxItems", "items"))
_SHORTEST: Final = {"date-time": 16, "date": 10, "time": 5, "uuid": 32, "duration": 2, "decimal": 1}
"""Characters of the shortest text of a format."""
_SAME_OF_LISTED: Final = ("format", "contentEncoding", "multipleOf")
_SAME: Final = ("pattern", *_SAME_OF_LISTED)
_ANNOTATIONS: Final = frozenset(
    {
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$comment",
        "$schema",
        "$id",
        "$defs",
    }
)


def is_anything(schema: dict[str, Any]) -> bool:
    """Whether a schema constrains nothing."""
    return all(keyword in _ANNOTATIONS or keyword.startswith("x-") for keyword in schema)


def listed(schema: dict[str, Any]) -> list[Any] | None:
    """The values that a schema lists; None if it lists none."""
    if "const" in schema:
        return [schema["const"]]
    return list_of(schema.get("enum"))


def kinds_of(schema: dict[str, Any]) -> frozenset[str]:
    """The JSON types of the values; all of them where the schema does not say."""
    declared = schema.get("type")
    if isinstance(declared, str):
        return frozenset({declared})
    several = list_of(declared)
    if several is not None:
        return frozenset(map(str, several))
    values = listed(schema)
    if values is not None:
        return frozenset(map(_kind_of, values))
    if "properties" in schema or "additionalProperties" in schema:
        return frozenset({"object"})
    return frozenset(KINDS)


def _kind_of(value: object) -> str:
    for kind, types in _TYPES:
        if isinstance(value, types):
            return kind
    return "null"


_TYPES: Final[tuple[tuple[str, type | tuple[type, ...]], ...]] = (
    ("boolean", bool),
    ("integer", int),
    ("number", float),
    ("string", str),
    ("array", list),
    ("object", dict),
)


def has_kinds(written: frozenset[str], read: frozenset[str]) -> bool:
    """Whether values of the first types are values of the second."""
    return written <= (read | {"integer"} if "number" in read else read)


def differing_values(written: dict[str, Any], read: dict[str, Any]) -> str | None:
    """Say which of the written values a reader refuses, as far as their lists tell; None if all are accepted."""
    accepted = listed(read)
    if accepted is None:
        return None
    values = _all_values(written)
    if values is None:
        return f"may be any {described(written)}; accepted {_verb(accepted)} {named(accepted)}"
    known = {orjson.dumps(each) for each in accepted}
    refused = [each for each in values if orjson.dumps(each) not in known]
    return f"may be {named(refused)}; accepted {_verb(accepted)} {named(accepted)}" if refused else None


def _all_values(schema: dict[str, Any]) -> list[Any] | None:
    """The values that a schema lists, and those of a kind with few of them."""
    values = listed(schema)
    return _FEW.get(kinds_of(schema)) if values is None else values


_FEW: Final[dict[frozenset[str], list[Any]]] = {frozenset({"null"}): [None], frozenset({"boolean"}): [False, True]}


def _verb(values: list[Any]) -> str:
    return "is" if len(values) == 1 else "are"


def differing_bounds(written: dict[str, Any], read: dict[str, Any]) -> Iterator[str]:
    """Say which bounds of a reader the written values may exceed."""
    values = listed(written)
    yield from _outside(written, read) if values is None else _listed_outside(values, read)
    for keyword in _SAME if values is None else _SAME_OF_LISTED:
        if keyword in read and written.get(keyword) != read[keyword]:
            now = f"the {keyword} {written[keyword]}" if keyword in written else f"no {keyword}"
            yield f"has {now}; expected is {read[keyword]}"


def _outside(written: dict[str, Any], read: dict[str, Any]) -> Iterator[str]:
    if _lower(written) < _lower(read):
        bound, excluded = _lower(read)
        yield f"may be less; accepted is {'more than' if excluded else 'at least'} {bound}"
    if _upper(written) > _upper(read):
        bound, included = _upper(read)
        yield f"may be more; accepted is {'at most' if included else 'less than'} {bound}"
    for least, most, what in _LENGTHS:
        if written.get(least, _SHORTEST.get(str(written.get("format")), 0)) < read.get(least, 0):
            yield f"may have fewer {what}; accepted are at least {read[least]}"
        if written.get(most, math.inf) > read.get(most, math.inf):
            yield f"may have more {what}; accepted are at most {read[most]}"


def _listed_outside(values: list[Any], read: dict[str, Any]) -> Iterator[str]:
    """Name the listed values that a reader's bounds leave out."""
    least, most = read.get("minLength", 0), read.get("maxLength", math.inf)
    texts = [each for each in values if isinstance(each, str)]
    if found := [each for each in texts if not least <= len(each) <= most]:
        yield f"may be {named(found)}, whose length is not accepted"
    if found := [each for each in texts if not _has_pattern(each, read.get("pattern", ""))]:
        yield f"may be {named(found)}; expected is the pattern {read['pattern']}"
    numbers = [each for each in values if _is_number(each)]
    if found := [each for each in numbers if (each, False) < _lower(read) or (each, True) > _upper(read)]:
        yield f"may be {named(found)}, which is outside of what is accepted"


def _has_pattern(text: str, pattern: str) -> bool:
    """Whether a text has the pattern; one that Python does not know is not compared."""
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return True


def _lower(schema: dict[str, Any]) -> tuple[float, bool]:
    """The least number, and whether it is itself excluded: the greater pair is the stricter one."""
    bounds = (("minimum", False), ("exclusiveMinimum", True))
    found = max([(-math.inf, False), *((schema[name], it) for name, it in bounds if _is_number(schema.get(name)))])
    return (math.floor(found[0]) + 1, False) if found[1] and kinds_of(schema) == _INTEGER else found


def _upper(schema: dict[str, Any]) -> tuple[float, bool]:
    """The greatest number, and whether it is itself included: the lesser pair is the stricter one."""
    bounds = (("maximum", True), ("exclusiveMaximum", False))
    found = min([(math.inf, True), *((schema[name], it) for name, it in bounds if _is_number(schema.get(name)))])
    return found if found[1] or kinds_of(schema) != _INTEGER else (math.ceil(found[0]) - 1, True)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def described(schema: Schema) -> str:
    """Name a schema in a sentence: `string`, `integer or null`, `object Order`."""
    if isinstance(schema, bool) or is_anything(schema):
        return "value"
    values = listed(schema)
    if values is not None:
        return named(values)
    title = schema.get("title")
    kinds = kinds_of(schema)
    names = " or ".join(kind for kind in KINDS if kind in kinds) if len(kinds) < len(KINDS) else "value"
    is_class = kinds == frozenset({"object"}) and isinstance(title, str)
    return f"{names} {title}" if is_class else names


def named(values: list[Any]) -> str:
    """List values in a sentence, as JSON; of many, the first ones."""
    texts = [orjson.dumps(each).decode() for each in values[:_LISTED_AT_MOST]]
    more = len(values) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more > 0 else "")
