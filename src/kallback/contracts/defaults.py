"""Which members of a type have another default than before. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kallback.contracts.fits import Located, resolved
from kallback.contracts.keywords import Schema, schema_of

_Roots = tuple[Mapping[str, Any], Mapping[str, Any]]
_Path = frozenset[tuple[object, object]]
"""References that led to a place: a type that holds itself is looked at once."""


def changed_defaults(old: Located, new: Located) -> Iterator[tuple[str, Any, Any]]:
    """Compare members that both have, with a default in both.

    Returns:
        Places such as `$.items[].count`, with the default of before and that of now.
    """
    yield from _changed(old.schema, new.schema, (old.root, new.root), "$", frozenset())


def _changed(old: Schema, new: Schema, roots: _Roots, place: str, path: _Path) -> Iterator[tuple[str, Any, Any]]:
    references = tuple(None if isinstance(each, bool) else each.get("$ref") for each in (old, new))
    if references in path:
        return
    if any(references):
        path |= {(references[0], references[1])}
    was, now = resolved(old, roots[0]), resolved(new, roots[1])
    if isinstance(was, bool) or isinstance(now, bool):
        return
    if "default" in was and "default" in now and was["default"] != now["default"]:
        yield place, was["default"], now["default"]
    for name, member in was.get("properties", {}).items():
        yield from _below((member, now.get("properties", {}).get(name)), roots, f"{place}.{name}", path)
    yield from _below((was.get("items"), now.get("items")), roots, f"{place}[]", path)


def _below(schemas: tuple[object, object], roots: _Roots, place: str, path: _Path) -> Iterator[tuple[str, Any, Any]]:
    was, now = map(schema_of, schemas)
    if was is not None and now is not None:
        yield from _changed(was, now, roots, place, path)
