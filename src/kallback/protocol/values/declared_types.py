"""Whether values of a declared type can travel as JSON and be read again; asked once, where the type is declared."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterator
from typing import Any, Protocol, TypeGuard, cast, get_args, runtime_checkable

import msgspec


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


def name_of(declared: Any) -> str:
    """The type as a person writes it."""
    return getattr(declared, "__qualname__", None) or str(declared)


def refuse_unreadable(declared: Any) -> None:
    """Look through a type for parts that cannot travel: better now than at the first result.

    Raises:
        TypeError: neither msgspec nor pydantic can write and read a part; says which.
        NameError: an annotation names something that does not exist.
    """
    _refuse(msgspec.inspect.type_info(declared), set())


def _refuse(info: object, seen: set[object]) -> None:
    if isinstance(info, msgspec.inspect.CustomType):
        _refuse_custom(info.cls)
    elif isinstance(info, (tuple, list)):
        for part in cast("tuple[object, ...]", info):
            _refuse(part, seen)
    elif isinstance(info, (msgspec.inspect.Type, msgspec.inspect.Field)):
        named = getattr(info, "cls", None)  # only a type with a name can hold itself
        _refuse_pydantic_dataclass(named)
        if named is None or named not in seen:
            seen.add(named)
            _refuse([getattr(info, name) for name in info.__struct_fields__], seen)


def _refuse_custom(declared: type) -> None:
    model = model_of(declared)
    if model is None:
        raise TypeError(f"{name_of(declared)} has no JSON form that msgspec or pydantic knows")
    secret = _masked_member(model, set())
    if secret is not None:
        raise TypeError(
            f"pydantic writes {secret} as asterisks, so it would be lost: declare it as a str, or give it a "
            "field_serializer that returns its value"
        )


def _refuse_pydantic_dataclass(declared: Any) -> None:
    if hasattr(declared, "__pydantic_validator__"):
        raise TypeError(
            f"{name_of(declared)} is a pydantic dataclass, whose validators would not run: make it a "
            "pydantic.BaseModel, or a dataclass of the standard library"
        )


def _masked_member(model: type[PydanticModel], seen: set[object]) -> str | None:
    """The first member, also of models inside, that is a secret (`SecretStr`, `SecretBytes`) without a serializer."""
    seen.add(model)
    members: dict[str, Any] = getattr(model, "model_fields", {})  # no part of the protocol: only methods can be checked
    for name, member in members.items():
        for part in _classes_in(member.annotation):
            if hasattr(part, "get_secret_value") and _is_masked(model, name, part):
                return f"{name_of(model)}.{name}"
            inner = model_of(part)
            found = None if inner is None or inner in seen else _masked_member(inner, seen)
            if found is not None:
                return found
    return None


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


def _classes_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _classes_in(part)
