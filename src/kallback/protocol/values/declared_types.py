"""Whether values of a declared type can travel as JSON and be read again; asked once, where the type is declared."""

from __future__ import annotations

from types import UnionType
from typing import Any, Final, TypeVar, Union, cast, get_args, get_origin

from msgspec import inspect

from kallback.protocol.values.ignored_checks import refuse_ignored_checks, refuse_ignored_checks_of_members
from kallback.protocol.values.pydantic_models import model_of, refuse_lost_members

_NO_HASH: Final = (
    inspect.ListType,
    inspect.SetType,
    inspect.DictType,
    inspect.TypedDictType,
    inspect.ByteArrayType,
    inspect.RawType,
)
_TEXT_KEYS: Final = (
    inspect.StrType,
    inspect.BytesType,
    inspect.DateType,
    inspect.DateTimeType,
    inspect.TimeType,
    inspect.TimeDeltaType,
    inspect.UUIDType,
    inspect.DecimalType,
)
_NUMBER_KEYS: Final = (inspect.IntType, inspect.FloatType)
_KEYS: Final = (*_TEXT_KEYS, *_NUMBER_KEYS, inspect.EnumType, inspect.LiteralType, inspect.AnyType)


def name_of(declared: Any) -> str:
    """The type as a person writes it."""
    return getattr(declared, "__qualname__", None) or str(declared)


def is_typed_dict(declared: Any) -> bool:
    """Whether a type is a `TypedDict`, of `typing` or of `typing_extensions`."""
    return isinstance(declared, type) and issubclass(declared, dict) and hasattr(cast("object", declared), "__total__")


def refuse_unreadable(declared: Any) -> None:
    """Look through a type for parts that cannot travel: better now than at the first result.

    Raises:
        TypeError: neither msgspec nor pydantic can write and read a part; says which.
        NameError: an annotation names something that does not exist.
    """
    _refuse_variables(declared)
    _refuse_unions_of_models(declared)
    _refuse(inspect.type_info(declared), set())
    refuse_ignored_checks(declared, "the type itself")


def _refuse_variables(declared: Any) -> None:
    if isinstance(declared, TypeVar):
        raise TypeError(f"{declared} is a type variable: write the type itself")
    for part in get_args(declared):
        _refuse_variables(part)


def _refuse_unions_of_models(declared: Any) -> None:
    """Pydantic says which of several models a value is; msgspec reads what is outside of a model."""
    parts = get_args(declared)
    if get_origin(declared) in {Union, UnionType}:
        models = [part for part in parts if model_of(part) is not None]
        if len(models) > 1:
            names = " | ".join(map(name_of, models))
            raise TypeError(f"a union of pydantic models needs a model around it: declare pydantic.RootModel[{names}]")
    for part in parts:
        _refuse_unions_of_models(part)


def _refuse(info: object, seen: set[object]) -> None:
    if isinstance(info, inspect.CustomType):
        _refuse_custom(info.cls)
    elif isinstance(info, (tuple, list)):
        for part in cast("tuple[object, ...]", info):
            _refuse(part, seen)
    elif isinstance(info, (inspect.Type, inspect.Field)):
        named = getattr(info, "cls", None)  # only a type with a name can hold itself
        _refuse_pydantic_dataclass(named)
        _refuse_unhashable(info)
        if named is None or named not in seen:
            seen.add(named)
            if named is not None:
                refuse_ignored_checks_of_members(named)
            _refuse([getattr(info, name) for name in info.__struct_fields__], seen)


def _refuse_custom(declared: type) -> None:
    model = model_of(declared)
    if model is None:
        raise TypeError(f"{name_of(declared)} has no JSON form that msgspec or pydantic knows")
    refuse_lost_members(model)


def _refuse_pydantic_dataclass(declared: Any) -> None:
    if hasattr(declared, "__pydantic_validator__"):
        raise TypeError(
            f"{name_of(declared)} is a pydantic dataclass, whose validators would not run: make it a "
            "pydantic.BaseModel, or a dataclass of the standard library"
        )


def _refuse_unhashable(info: object) -> None:
    if isinstance(info, (inspect.SetType, inspect.FrozenSetType)):
        part = _unhashable(info.item_type)
        if part is not None:
            raise TypeError(f"a set cannot hold {part}, which has no hash: declare a list")
    elif isinstance(info, inspect.DictType):
        _refuse_key(info.key_type)


def _unhashable(info: object) -> str | None:
    """The part of a member of a set that has no hash; None if there is none."""
    if isinstance(info, _NO_HASH):
        return _plain_name(info)
    if isinstance(info, inspect.UnionType):
        return next(filter(None, map(_unhashable, info.types)), None)
    if isinstance(info, inspect.TupleType):
        return next(filter(None, map(_unhashable, info.item_types)), None)
    if isinstance(info, inspect.VarTupleType):
        return _unhashable(info.item_type)
    declared: Any = getattr(info, "cls", None)
    if isinstance(info, inspect.StructType):  # it has a method that raises
        return None if declared.__struct_config__.frozen else _plain_name(info)
    return _plain_name(info) if declared is not None and declared.__hash__ is None else None


def _refuse_key(info: object) -> None:
    kinds = info.types if isinstance(info, inspect.UnionType) else (info,)
    for kind in kinds:
        if not isinstance(kind, (*_KEYS, inspect.NoneType) if len(kinds) > 1 else _KEYS):
            raise TypeError(f"JSON has no keys of type {_plain_name(kind)}: declare a dict with keys of type str")
    if any(isinstance(kind, _TEXT_KEYS) for kind in kinds) and any(isinstance(kind, _NUMBER_KEYS) for kind in kinds):
        raise TypeError("a key that may be a text or a number is read as a text: declare a dict with keys of one type")


def _plain_name(info: object) -> str:
    declared = getattr(info, "cls", None)
    return type(info).__name__.removesuffix("Type").lower() if declared is None else name_of(declared)
