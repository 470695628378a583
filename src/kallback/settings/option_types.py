"""Refuses options that cannot work where they are written: a text for a set, a timedelta for seconds. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import timedelta
from enum import Enum
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from kallback.protocol.errors import ConfigurationError
from kallback.settings.secret import Secret

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def check_option_types(options: DataclassInstance) -> None:
    """Look at the fields whose declared type or default says what they take; others are left alone.

    A text that is the value of an enum's member becomes that member, and a text for a path becomes the path.

    Raises:
        ConfigurationError: with the name of the option and what it takes.
    """
    for each in fields(options):
        value: Any = getattr(options, each.name)
        kinds = str(each.type).split(" | ")
        if not each.init or (value is None and "None" in kinds):
            continue
        _check_like_default(options, each, value)
        if "Path" in kinds and isinstance(value, str | PathLike) and not isinstance(value, Path):
            value = Path(cast("str | PathLike[str]", value))
            object.__setattr__(options, each.name, value)
        for kind in kinds:
            if kind in _KINDS:
                fits, wanted = _KINDS[kind]
                if not fits(value):
                    raise ConfigurationError(
                        f"{type(options).__name__}: {each.name} must be {wanted}, not {_shown(value, kind)}"
                    )


def check_seconds(options: DataclassInstance, *names: str, least: float = math.ulp(0.0)) -> None:
    """Refuse times that are no finite number of seconds above 0, or from `least` on; None is left alone.

    Raises:
        ConfigurationError: with the name of the option.
    """
    for name in names:
        value: float | None = getattr(options, name)
        if value is not None and not least <= value < math.inf:
            wanted = f"from {least:g} on" if least in (0.0, 1.0) else "above 0"
            raise ConfigurationError(
                f"{type(options).__name__}: {name}={value} is no time that can work: use a number of seconds {wanted}"
            )


def check_counts(options: DataclassInstance, *names: str) -> None:
    """Refuse numbers below 1; None is left alone.

    Raises:
        ConfigurationError: with the name of the option.
    """
    for name in names:
        value: int | None = getattr(options, name)
        if value is not None and value < 1:
            raise ConfigurationError(f"{type(options).__name__}: {name}={value} cannot work: use at least 1")


def check_argument(call: str, name: str, value: object, kind: type, example: str) -> None:
    """Refuse an argument of another class than the one that it takes; None, for the default, passes.

    Args:
        call: what is called, such as `Worker('kitchen')`.
        name: of the argument.
        value: that was given.
        kind: the class.
        example: how to write it.

    Raises:
        ConfigurationError: with what it takes.
    """
    if value is not None and not isinstance(value, kind):
        raise ConfigurationError(f"{call}: {name} must be {kind.__name__}, not {type(value).__name__}: write {example}")


def check_callable(call: str, name: str, value: object) -> None:
    """Refuse an argument that takes a function; None, for the default, passes.

    Raises:
        ConfigurationError: with the name of the argument.
    """
    if value is not None and not callable(value):
        raise ConfigurationError(f"{call}: {name} must be a function, not {type(value).__name__}")


def check_method(call: str, name: str, value: object, method: str, what: str) -> None:
    """Refuse an argument without the method that is called on it; None, for the default, passes.

    Raises:
        ConfigurationError: with what the argument must do.
    """
    if value is not None and not callable(getattr(value, method, None)):
        raise ConfigurationError(f"{call}: {name} must {what}, not {type(value).__name__}")


def _check_like_default(options: DataclassInstance, option: Field[Any], value: Any) -> None:
    """Refuse what is of another class than the default, where that is an enum or a group of options."""
    default = option.default if option.default_factory is MISSING else option.default_factory()
    where = f"{type(options).__name__}: {option.name}"
    if isinstance(default, Enum):
        member = next((each for each in type(default) if value in (each, each.value)), None)
        if member is None:
            known = ", ".join(str(each.value) for each in type(default))
            raise ConfigurationError(f"{where}={value!r} is not known: use one of {known}")
        object.__setattr__(options, option.name, member)
    elif (is_dataclass(default) or isinstance(default, msgspec.Struct)) and not isinstance(value, type(default)):
        raise ConfigurationError(f"{where} must be {type(default).__name__}(...), not {type(value).__name__}")


def _is_int(value: Any) -> bool:
    return not _is_switch(value) and isinstance(value, Integral)


def _is_number(value: Any) -> bool:
    return not _is_switch(value) and isinstance(value, Real) and not math.isnan(value)


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:
    """Clients of Kafka end a text at a NUL, headers of HTTP take no line ends; blank is a mistake, not a default."""
    return isinstance(value, str) and value.isprintable() and (not value or bool(value.strip()))


def _is_names(value: Any) -> bool:
    """A text is a collection of texts, too: each of its letters would be a name, and `*` is one that allows all."""
    if not isinstance(value, Collection) or isinstance(value, str):
        return False
    return all(isinstance(each, str) for each in cast("Collection[object]", value))


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(each, str) for each in cast("Mapping[object, object]", value))


def _shown(value: Any, kind: str) -> str:
    if isinstance(value, str) and kind == "str":
        return "a text with control characters or with line ends" if value.strip() else "a blank text"
    if kind == "float" and isinstance(value, timedelta):
        return f"a timedelta: write {value.total_seconds():g} (seconds)"
    if isinstance(value, str) and kind == "frozenset[str]":
        return f"a text: write {{{value!r}}}"
    return "NaN" if isinstance(value, float) and math.isnan(value) else type(value).__name__


_KINDS: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "int": (_is_int, "a whole number"),
    "float": (_is_number, "a number"),
    "bool": (_is_switch, "True or False"),
    "str": (_is_text, "a text"),
    "Secret": (lambda value: isinstance(value, Secret), "a Secret, as Secret('...')"),
    "Path": (lambda value: isinstance(value, Path), "a Path"),
    "Mapping[str, str]": (_is_mapping, "a mapping, as {'name': 'value'}"),
    "frozenset[str]": (_is_names, "a set of names"),
}
