"""Shows a class in the reference with its public bases: one that is private is replaced by what it derives from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterator


class PublicBases(griffe.Extension):
    """An extension of griffe, which mkdocstrings reads the code with."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Change the classes of a package that has been read."""
        for each in list(_classes(pkg)):
            _keep_signature(each)
            each.bases = [base for written in each.bases for base in _public(written, each)]


def _classes(owner: griffe.Module | griffe.Class) -> Iterator[griffe.Class]:
    for member in owner.members.values():
        if isinstance(member, griffe.Class):
            yield member
        if isinstance(member, griffe.Module | griffe.Class):
            yield from _classes(member)


def _keep_signature(each: griffe.Class) -> None:
    for base in each.bases:
        found = _private(base, each)
        if found is not None and "__init__" in found.members and "__init__" not in each.members:
            each.set_member("__init__", griffe.Alias("__init__", found.members["__init__"], parent=each))


def _private(base: griffe.Expr | str, owner: griffe.Class) -> griffe.Class | None:
    name = str(base)
    found = owner.module.members.get(name) if name.startswith("_") else None
    return found if isinstance(found, griffe.Class) else None


def _public(base: griffe.Expr | str, owner: griffe.Class) -> Iterator[griffe.Expr | str]:
    found = _private(base, owner)
    if found is None:
        yield base
    else:
        for each in found.bases:
            yield from _public(each, found)
