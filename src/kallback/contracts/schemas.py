"""JSON Schemas of declared types, as the codec writes and reads their values.

The two differ. A writer of Python writes each member, those with a default, too, and a reader does without them;
pydantic writes a `Decimal` as a text and reads a number as well. msgspec and pydantic know the schemas of their types;
what they leave out (members that are always written, the format of a time, the keys of a map) is added here.
"""

from __future__ import annotations

from enum import Enum
from types import NoneType
from typing import Any, Final, cast

import msgspec
import orjson
from msgspec import inspect

from kallback.contracts.keys import pydantic_keys_schema
from kallback.contracts.keywords import Schema, mapped, tidied
from kallback.contracts.omissions import add_omissions
from kallback.contracts.zones import zone_pattern
from kallback.protocol.errors import ConfigurationError
from kallback.protocol.values.declared_types import name_of
from kallback.protocol.values.pydantic_models import model_of

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REF: Final = "#/$defs/"
_CLASSES: Final = (inspect.StructType, inspect.DataclassType, inspect.TypedDictType, inspect.NamedTupleType)


class Direction(Enum):
    """Which values a schema describes."""

    WRITTEN = "serialization"
    """Those that the codec writes."""
    READ = "validation"
    """Those that it reads."""


def schema_of(declared: Any, direction: Direction, what: str) -> dict[str, Any]:
    """The schema of a declared type, with what it refers to in `$defs`.

    Args:
        declared: as in `TaskType`.
        direction: whether for writing or for reading.
        what: for sentences: "the request of task type t".

    Raises:
        ConfigurationError: the type, or a member of it, has no JSON Schema; names the member.
    """
    known: Any = Any if declared is object else NoneType if declared is None else declared
    try:
        classes = _classes_in(inspect.type_info(known))
        # The classes beside the type: so msgspec says under which name each one is defined.
        types = [known, *(each.cls for each in classes)]
        _, taken = msgspec.json.schema_components(types, schema_hook=lambda _: {"title": ""})
        models = _Models(direction, frozenset(taken))
        found, definitions = msgspec.json.schema_components(types, schema_hook=models.schema_of)
    except KeyError as error:  # msgspec names a definition by the module and name of its class
        raise ConfigurationError(
            f"{what}, {name_of(declared)}, has two classes of the same module and name ({error}): rename one of them"
        ) from None
    except (TypeError, NameError) as error:
        raise ConfigurationError(f"{what}, {name_of(declared)}, has no JSON Schema: {error}") from None
    for each, reference in zip(classes, found[1:], strict=True):
        _complete(each, definitions.get(reference.get("$ref", "").removeprefix(_REF), {}), direction)
    add_omissions(inspect.type_info(known), found[0])
    whole = {**found[0], "$defs": dict(sorted({**definitions, **models.definitions}.items()))}
    if not whole["$defs"]:
        del whole["$defs"]
    return _plain_json(mapped(whole, tidied), what)


def _plain_json(schema: Schema, what: str) -> dict[str, Any]:
    """Only what JSON carries: a model's `json_schema_extra` and defaults may be anything."""
    try:
        return cast("dict[str, Any]", orjson.loads(orjson.dumps(schema)))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{what} has a JSON Schema that JSON cannot carry: {error}") from None


class _Models:
    """Schemas of the pydantic models in a type; what they refer to is under names of the model's own.

    Args:
        direction: of the schemas.
        taken: names of other definitions.
    """

    def __init__(self, direction: Direction, taken: frozenset[str]) -> None:
        self.definitions: dict[str, Any] = {}
        self._direction: Final = direction
        self._taken: Final = taken
        self._names: dict[type, str] = {}

    def schema_of(self, declared: type) -> dict[str, Any]:
        """As `schema_hook` of msgspec."""
        model: Any = model_of(declared)
        if model is None or not hasattr(model, "model_json_schema"):
            raise TypeError(f"{name_of(declared)} does not tell its schema")
        if declared not in self._names:
            self._names[declared] = self._new_name(declared)
            self._define(model, self._names[declared])
        return {"$ref": f"{_REF}{self._names[declared]}"}

    def _new_name(self, declared: type) -> str:
        plain = "".join(char if char.isalnum() or char in "._-" else "_" for char in declared.__name__)
        taken = self._taken.union(self._names.values())
        return next(each for each in (plain, *(f"{plain}.{count}" for count in range(2, 10_000))) if each not in taken)

    def _define(self, model: Any, name: str) -> None:
        try:
            schema = _model_schema(model, self._direction, f"{_REF}{name}.{{model}}")
        except Exception as error:  # code of the user's runs here
            raise TypeError(f"{_culprit(model, self._direction)}: {_reason(error)}") from error
        inner: dict[str, Any] = schema.pop("$defs", {})
        self.definitions[name] = schema
        self.definitions.update({f"{name}.{each}": definition for each, definition in inner.items()})


def _model_schema(model: Any, direction: Direction, template: str) -> dict[str, Any]:
    from pydantic.json_schema import GenerateJsonSchema  # noqa: PLC0415 - who declares a model has pydantic

    class _Complete(GenerateJsonSchema):
        """Members with a default are written, too, numbers as keys have a form, and times a zone or none."""

        def datetime_schema(self, schema: Any) -> Any:
            """Return the schema of a point in time."""
            return _zoned(super().datetime_schema(schema), schema)

        def decimal_schema(self, schema: Any) -> Any:
            """Return the schema of a decimal number."""
            return _decimal(super().decimal_schema(schema))

        def time_schema(self, schema: Any) -> Any:
            """Return the schema of a time of day."""
            return _zoned(super().time_schema(schema), schema)

        def dict_schema(self, schema: Any) -> Any:
            """Return the schema of a map."""
            found = super().dict_schema(schema)
            if not {"propertyNames", "patternProperties"} & found.keys():
                keys = pydantic_keys_schema(schema.get("keys_schema", {}))
                return found if keys is None else found | {"propertyNames": keys}
            return found

        def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: FBT001 - pydantic's
            """Return whether a member of an object is always there."""
            if self.mode == "serialization" and field["type"] != "typed-dict-field":
                return field.get("serialization_exclude_if") is None
            return super().field_is_required(field, total)

    found: dict[str, Any] = model.model_json_schema(
        by_alias=True, ref_template=template, mode=direction.value, schema_generator=_Complete
    )
    return found


def _decimal(schema: dict[str, Any]) -> dict[str, Any]:
    """Add the format of msgspec to the text of a decimal number: not every text is one."""
    if "anyOf" in schema:
        return schema | {"anyOf": [_decimal(each) for each in schema["anyOf"]]}
    return schema | {"format": "decimal"} if schema.get("type") == "string" else schema


def _zoned(schema: dict[str, Any], core: dict[str, Any]) -> dict[str, Any]:
    """Add whether a time has a zone; `core` is pydantic's own description of it."""
    constraint = core.get("tz_constraint")
    pattern = zone_pattern(has_zone=None if constraint is None else constraint != "naive")
    return schema if pattern is None or schema.get("type") != "string" else schema | {"pattern": pattern}


def _culprit(model: Any, direction: Direction) -> str:
    """The first member that has no schema by itself; the model if each one has."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - as above

    for name, member in model.model_fields.items():
        try:
            TypeAdapter(member.annotation).json_schema(mode=direction.value)
        except Exception:  # noqa: BLE001 - it is the one that is looked for
            return f"{model.__qualname__}.{name}"
    return str(model.__qualname__)


def _reason(error: Exception) -> str:
    if type(error).__name__ == "PydanticInvalidForJsonSchema":  # its text shows addresses in memory
        return "pydantic knows none for it: annotate it with pydantic.WithJsonSchema"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _classes_in(info: object) -> list[Any]:
    """Each class with members in a type, once, in the order of the type."""
    found: dict[object, Any] = {}

    def look(part: object) -> None:
        if isinstance(part, (tuple, list)):
            for each in cast("tuple[object, ...]", part):
                look(each)
        elif isinstance(part, (inspect.Type, inspect.Field)):
            if isinstance(part, _CLASSES):
                if part.cls in found:
                    return
                found[part.cls] = part
            look([getattr(part, name) for name in part.__struct_fields__])

    look(info)
    return list(found.values())


def _complete(info: Any, schema: dict[str, Any], direction: Direction) -> None:
    """Add to the definition of a class what msgspec leaves out."""
    members: dict[str, Any] = schema.get("properties", {})
    fields: tuple[inspect.Field, ...] = getattr(info, "fields", ())
    for field in fields:
        if field.encode_name in members:
            add_omissions(field.type, members[field.encode_name])
    for field, item in zip(
        reversed(fields), reversed(schema.get("prefixItems", ())), strict=False
    ):  # a tag comes first
        add_omissions(field.type, item)
    if direction is Direction.READ or isinstance(info, inspect.TypedDictType):
        return
    config = getattr(info.cls, "__struct_config__", None)
    if "prefixItems" in schema:
        schema["minItems"] = len(schema["prefixItems"])
    elif members and (config is None or not config.omit_defaults):
        left_out = {field.encode_name for field in info.fields if _may_be_unset(field)}
        schema["required"] = [name for name in members if name not in left_out]


def _may_be_unset(field: inspect.Field) -> bool:
    """Whether the member's default is `msgspec.UNSET`: msgspec shows it as none at all."""
    return not field.required and field.default is field.default_factory is msgspec.NODEFAULT
