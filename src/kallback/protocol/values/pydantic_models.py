"""What we use of pydantic, without importing it, and which models of it lose a member on the wire."""

from __future__ import annotations

import abc
import functools
import sys
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Final, Generic, Protocol, TypeGuard, cast, get_args, get_origin, runtime_checkable

import msgspec

_BARE: Final[tuple[Any, ...]] = (object, abc.ABC, Generic, Protocol)
_KNOWN_BY: Final = ("__get_pydantic_core_schema__", "__pydantic_validator__", "__dataclass_fields__")
_DECORATORS: Final = (
    "validators",
    "field_validators",
    "root_validators",
    "model_validators",
    "field_serializers",
    "model_serializers",
)


@runtime_checkable
class PydanticModel(Protocol):
    """What we use of `pydantic.BaseModel`, without importing pydantic."""

    @classmethod
    def model_validate_json(cls, json_data: bytes | str) -> Any:
        """Read and validate."""
        ...

    @classmethod
    def model_construct(cls, **values: Any) -> Any:
        """Make a value without validation."""
        ...

    def model_dump(self, *, mode: str, by_alias: bool) -> dict[str, Any]:
        """As a dict."""
        ...

    def model_dump_json(self, *, by_alias: bool) -> str:
        """As JSON."""
        ...


@functools.lru_cache(maxsize=1024)
def _is_model(declared: Hashable) -> bool:
    """Remembered per class: a check against a protocol costs more than the rest of the encoding of a small value."""
    return isinstance(declared, type) and issubclass(declared, PydanticModel)


def is_model(value: object) -> TypeGuard[PydanticModel]:
    """Whether a value is an instance of a pydantic model."""
    return _is_model(cast("Hashable", type(value)))


def model_of(declared: Any) -> type[PydanticModel] | None:
    """The type itself if it is a pydantic model."""
    return declared if isinstance(declared, type) and issubclass(declared, PydanticModel) else None


def refuse_lost_members(model: type[PydanticModel]) -> None:
    """Refuse a model, also for the models inside it, with a member that pydantic writes and cannot read again.

    Raises:
        TypeError: names the member and the remedy.
    """
    _refuse_members(model, set())


def _refuse_members(model: type[PydanticModel], seen: set[object]) -> None:
    seen.add(model)
    _refuse_computed(model)
    members: dict[str, Any] = getattr(model, "model_fields", {})  # no part of the protocol: only methods can be checked
    for name, member in members.items():
        place = f"{model.__qualname__}.{name}"
        _refuse_renamed(model, place, name, member)
        for part in _parts_of(member.annotation):
            if hasattr(part, "get_secret_value") and _is_masked(model, name, part):
                raise TypeError(
                    f"pydantic writes {place} as asterisks, so it would be lost: declare it as a str, or give it a "
                    "field_serializer that returns its value"
                )
            if _has_no_json(part) and not _is_converted(model, member):
                raise TypeError(f"{place} cannot travel as JSON: give it a type that pydantic writes and reads")
            inner = model_of(part)
            if inner is not None and inner not in seen:
                _refuse_members(inner, seen)


def _refuse_computed(model: type[PydanticModel]) -> None:
    """A computed field is written, and a model that forbids extra members does not read it."""
    config: dict[str, Any] = getattr(model, "model_config", {})
    computed: dict[str, Any] = getattr(model, "model_computed_fields", {})
    if config.get("extra") == "forbid" and computed and not _has_decorators(model):
        place = f"{model.__qualname__}.{next(iter(computed))}"
        raise TypeError(
            f"pydantic writes the computed field {place} and does not read it, as its model forbids extra members: "
            "make it a plain property, or let the model ignore them (extra='ignore')"
        )


def _refuse_renamed(model: type[PydanticModel], place: str, name: str, member: Any) -> None:
    if _is_converted(model, member):
        return
    if member.exclude:
        if member.is_required():
            raise TypeError(f"{place} is excluded and required, so no value can be read back: give it a default")
        return
    written = member.serialization_alias or name
    if written not in _names_read(model, name, member):
        raise TypeError(
            f"pydantic writes {place} as {written!r} and does not read it under this name: use the same alias for both"
        )


def _names_read(model: type[PydanticModel], name: str, member: Any) -> set[object]:
    """The names under which a member is read; an alias that is a path counts with its first step."""
    config: dict[str, Any] = getattr(model, "model_config", {})
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    alias = member.validation_alias
    choices = getattr(alias, "choices", [alias])
    firsts: set[object] = {
        choice if isinstance(choice, str) else choice.path[0] for choice in choices if choice is not None
    }
    return {*firsts, name} if by_name or not firsts else firsts


def _is_converted(model: type[PydanticModel], member: Any) -> bool:
    """Whether code of the user's takes part, so that declarations alone do not tell what is written and read."""
    return bool(member.metadata) or _has_decorators(model)


def _has_decorators(model: type[PydanticModel]) -> bool:
    decorators: Any = getattr(model, "__pydantic_decorators__", None)
    return any(getattr(decorators, kind, None) for kind in _DECORATORS)


def _has_no_json(part: Any) -> bool:
    if part is Callable or part is type or get_origin(part) in {Callable, type}:
        return True
    return isinstance(part, type) and _is_plain_class(cast("type[object]", part))


def _is_plain_class(part: type[object]) -> bool:
    """A class of the user's that says nothing about JSON: pydantic takes it with `arbitrary_types_allowed` only."""
    if any(hasattr(part, name) for name in _KNOWN_BY):
        return False
    return all(base in _BARE or base.__module__ not in sys.stdlib_module_names for base in part.__mro__)


def holds_masked_secret(value: object) -> bool:
    """Whether a pydantic model in a value writes a secret as asterisks, which its type need not declare."""
    found = list[object]()

    def hook(part: Any) -> Any:
        if is_model(part):
            return part.model_dump(mode="python", by_alias=True)
        if hasattr(part, "get_secret_value"):
            found.append(part)
        return None

    msgspec.to_builtins(value, enc_hook=hook)
    return bool(found)


def _is_masked(model: type[PydanticModel], name: str, secret: Any) -> bool:
    """Write a probe: only that tells what the serializers of a model do."""
    probe = secret(b"probe" if "Bytes" in secret.__name__ else "probe")
    try:
        return "probe" not in model.model_construct(**{name: probe}).model_dump_json(include={name}, warnings=False)
    except Exception:  # noqa: BLE001 - a serializer of the user's that wants other values does not mask them
        return False


def _parts_of(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts_of(part)
