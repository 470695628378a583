"""Refuses options of the wrong type where they are written: a text for a set, a timedelta for seconds. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import fields
from datetime import timedelta
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Final, cast

from kallback.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def check_option_types(options: DataclassInstance) -> None:
    """Look at the fields that are declared as numbers, switches, texts or sets of names; others are left alone.

    Raises:
        ConfigurationError: with the name of the option and what it takes.
    """
    for each in fields(options):
        value: Any = getattr(options, each.name)
        kinds = str(each.type).split(" | ")
        if value is None and "None" in kinds:
            continue
        for kind in kinds:
            if kind in _KINDS:
                fits, wanted = _KINDS[kind]
                if not fits(value):
                    raise ConfigurationError(
                        f"{type(options).__name__}: {each.name} must be {wanted}, not {_shown(value, kind)}"
                    )


def _is_int(value: Any) -> bool:
    return not _is_switch(value) and isinstance(value, Integral)


def _is_number(value: Any) -> bool:
    return not _is_switch(value) and isinstance(value, Real) and not math.isnan(value)


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_names(value: Any) -> bool:
    """A text is a collection of texts, too: each of its letters would be a name, and `*` is one that allows all."""
    if not isinstance(value, Collection) or isinstance(value, str):
        return False
    return all(isinstance(each, str) for each in cast("Collection[object]", value))


def _shown(value: Any, kind: str) -> str:
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
    "frozenset[str]": (_is_names, "a set of names"),
}
