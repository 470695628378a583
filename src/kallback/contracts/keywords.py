"""Where a JSON Schema holds other schemas, and what is made the same of what two libraries generate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

import orjson

Schema = dict[str, Any] | bool
"""`True` and `{}` accept everything, `False` nothing."""

_ONE: Final = (
    "items",
    "additionalItems",
    "additionalProperties",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
)
_LIST: Final = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_NAMED: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_TEXTS: Final = ("$ref", "pattern", "format", "contentEncoding")
_NUMBERS: Final = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
)


def dict_of(value: object) -> dict[str, Any] | None:
    """The value if it is an object; None if not."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def list_of(value: object) -> list[Any] | None:
    """The value if it is a list; None if not."""
    return value if isinstance(value, list) else None  # pyright: ignore[reportUnknownVariableType] - of any value


def schema_of(value: object) -> Schema | None:
    """The value if it may be a schema; None if not."""
    return value if isinstance(value, bool) else dict_of(value)


def pointed(reference: str, document: Mapping[str, Any]) -> Any:
    """The part of a document that a reference such as `#/$defs/Order` names; None if there is none."""
    found: object = document
    for step in reference.removeprefix("#/").split("/"):
        members = dict_of(found)
        found = None if members is None else members.get(step.replace("~1", "/").replace("~0", "~"))
    return found


def mapped(schema: Schema, change: Callable[[dict[str, Any]], Schema]) -> Schema:
    """Return a copy in which each schema, the innermost first, is what `change` makes of it."""
    if isinstance(schema, bool):
        return schema
    return change({keyword: _mapped_member(keyword, value, change) for keyword, value in schema.items()})


def _mapped_member(keyword: str, value: Any, change: Callable[[dict[str, Any]], Schema]) -> Any:
    listed, named, one = list_of(value), dict_of(value), schema_of(value)
    if keyword in _LIST and listed is not None:
        return [mapped(each, change) for each in listed]
    if keyword in _NAMED and named is not None:
        return {name: mapped(each, change) for name, each in named.items()}
    return value if keyword not in _ONE or one is None else mapped(one, change)


def malformed(schema: object) -> str | None:
    """The first keyword, at any depth, whose value is none that it can have; None if there is no such keyword."""
    members = dict_of(schema)
    if members is None:
        return None if isinstance(schema, bool) else f"{schema!r:.40}"
    for keyword, value in members.items():
        if not _can_be(keyword, value):
            return keyword
        for inner in _held(keyword, value):
            if (found := malformed(inner)) is not None:
                return found
    return None


def _can_be(keyword: str, value: object) -> bool:
    listed = list_of(value)
    if keyword in _TEXTS:
        return isinstance(value, str)
    if keyword in _NUMBERS:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if keyword in {"required", "type"}:
        texts = listed if listed is not None else [value] if keyword == "type" else [None]
        return all(isinstance(each, str) for each in texts)
    if keyword == "enum" or (keyword in _LIST and keyword not in _ONE):
        return listed is not None
    return keyword not in _NAMED or dict_of(value) is not None


def _held(keyword: str, value: object) -> Iterable[object]:
    listed, named = list_of(value), dict_of(value)
    if keyword in _LIST and listed is not None:
        return listed
    if keyword in _NAMED and named is not None:
        return named.values()
    return (value,) if keyword in _ONE else ()


def tidied(schema: dict[str, Any]) -> Schema:
    """The same schema for each run: without `discriminator`, which is OpenAPI's, and with defaults of sets sorted."""
    kept = {keyword: value for keyword, value in schema.items() if keyword != "discriminator"}
    default, required = list_of(kept.get("default")), list_of(kept.get("required"))
    if kept.get("uniqueItems") and default is not None:
        kept["default"] = sorted(default, key=orjson.dumps)
    if required is not None:
        kept["required"] = sorted(required)
    return kept if required != [] else {keyword: value for keyword, value in kept.items() if keyword != "required"}


def as_draft_7(schema: dict[str, Any]) -> Schema:
    """In the keywords of draft 7, which AsyncAPI takes for its own: tuples, and members beside a `$ref`."""
    kept = dict(schema)
    if "prefixItems" in kept:
        rest = kept.pop("items", None)
        kept["items"] = kept.pop("prefixItems")
        if rest is not None:
            kept["additionalItems"] = rest
    if "$ref" in kept and len(kept) > 1:
        kept["allOf"] = [{"$ref": kept.pop("$ref")}, *kept.get("allOf", ())]
    return kept
