"""Whether readers with one JSON Schema accept what writers with another one write, and which members do not fit.

Both come from declared types, so a writer's object has the members that its schema declares and no others. What cannot
be compared counts as not fitting only where the two differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from kallback.contracts.keys import as_texts, keys_and_values
from kallback.contracts.keywords import Schema, list_of, pointed, schema_of
from kallback.contracts.values import (
    described,
    differing_bounds,
    differing_values,
    has_kinds,
    is_anything,
    kinds_of,
    listed,
)
from kallback.protocol.errors import ConfigurationError

_MOST_STEPS: Final = 1000
"""References and parts that one schema is made of."""


@dataclass(frozen=True, slots=True)
class Located:
    """A schema, and the document that its references point into."""

    schema: Schema
    root: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Misfit:
    """A member that is written and not read as it is.

    Attributes:
        member: its place, such as `$.items[].price`.
        sentence: what is written, and what is expected; begins with a verb.
        refused: a reader refuses the whole value; otherwise it ignores the member.
    """

    member: str
    sentence: str
    refused: bool = True

    def below(self, member: str) -> Misfit:
        """The same at another place, of which `$` is the member."""
        return replace(self, member=member + self.member.removeprefix("$"))


def misfits(written: Located, read: Located) -> list[Misfit]:
    """Compare what is written with what is read.

    Raises:
        ConfigurationError: a reference leads nowhere.
    """
    found = _Comparison(written.root, read.root).compare(written.schema, read.schema, "$")
    return list(dict.fromkeys(found))


def resolved(schema: Schema, root: Mapping[str, Any]) -> Schema:
    """Follow references, and merge what stands beside them or in an `allOf`.

    Raises:
        ConfigurationError: a reference leads out of the document, nowhere, or to itself.
    """
    return _resolved(schema, root, iter(range(_MOST_STEPS)))


def _resolved(schema: Schema, root: Mapping[str, Any], steps: Iterator[int]) -> Schema:
    for _ in steps:
        if isinstance(schema, bool) or not ({"$ref", "allOf"} & schema.keys()):
            return schema
        rest = {keyword: value for keyword, value in schema.items() if keyword not in {"$ref", "allOf", "$defs"}}
        parts = [_pointed(str(schema["$ref"]), root)] if "$ref" in schema else []
        parts += schema.get("allOf", ())
        if len(parts) == 1 and not rest:
            schema = parts[0]
            continue
        schema = _merged([*(_resolved(each, root, steps) for each in parts), rest])
    raise ConfigurationError("a JSON Schema refers to itself without end: export the contract again")


def _pointed(reference: str, root: Mapping[str, Any]) -> Schema:
    if not reference.startswith("#/"):
        raise ConfigurationError(f"the reference {reference!r} leads out of the document: put the schema into it")
    found = schema_of(pointed(reference, root))
    if found is None:
        raise ConfigurationError(f"the reference {reference!r} leads nowhere: export the contract again")
    return found


def _merged(parts: Iterable[Schema]) -> Schema:
    whole: dict[str, Any] = {}
    for part in parts:
        if isinstance(part, bool):
            if not part:
                return False
            continue
        both = {**whole, **part}
        for keyword in ("properties", "patternProperties"):
            if keyword in whole and keyword in part:
                both[keyword] = {**whole[keyword], **part[keyword]}
        if "required" in whole and "required" in part:
            both["required"] = [*whole["required"], *part["required"]]
        whole = both
    return whole


@dataclass(frozen=True, slots=True)
class _Comparison:
    written_root: Mapping[str, Any]
    read_root: Mapping[str, Any]
    _seen: set[tuple[bytes, bytes]] = field(default_factory=set[tuple[bytes, bytes]])
    """Pairs that are compared already, or are about to be: types that hold themselves end here."""
    _failed: set[tuple[bytes, bytes]] = field(default_factory=set[tuple[bytes, bytes]])
    """Choices that do not fit, however the pairs end that are still open: unions that hold each other end here."""

    def compare(self, written: Schema, read: Schema, member: str) -> Iterator[Misfit]:
        """Compare two schemas at a place."""
        ours, theirs = resolved(written, self.written_root), resolved(read, self.read_root)
        pair = (orjson.dumps(ours), orjson.dumps(theirs))
        if pair in self._seen:
            return
        self._seen.add(pair)
        if theirs is True or ours is False or (isinstance(theirs, dict) and is_anything(theirs)):
            return
        if theirs is False:
            yield Misfit(member, "is not accepted at all")
            return
        if ours is True or is_anything(ours):
            if any(self._is_anything(each) for each in _branches(theirs) or ()):
                return
            yield Misfit(member, f"may be any JSON value; expected is {self._named(theirs)}")
            return
        yield from self._compare_each(ours, theirs, member)

    def _compare_each(self, ours: dict[str, Any], theirs: dict[str, Any], member: str) -> Iterator[Misfit]:
        if (branches := _branches(ours)) is not None:
            for each in branches:
                yield from self.compare(each, theirs, member)
        elif (choices := _branches(theirs)) is not None:
            yield from self._compare_choices(ours, choices, member)
        else:
            yield from self._compare_values(ours, theirs, member)

    def _compare_choices(self, ours: dict[str, Any], choices: list[Schema], member: str) -> Iterator[Misfit]:
        fitting = [attempt for each in choices if (attempt := self._attempt(ours, each)) is not None]
        if fitting:
            notes, seen = min(fitting, key=lambda each: len(each[0]))
            self._seen.update(seen)
            yield from (each.below(member) for each in notes)
            return
        found = [resolved(each, self.read_root) for each in choices]
        alike = [each for each in found if isinstance(each, dict) and kinds_of(each) & kinds_of(ours)]
        same = [each for each in alike if each.get("title") == ours.get("title")]
        if len(alike) == 1 or len(same) == 1:
            yield from self.compare(ours, (same or alike)[0], member)
            return
        expected = " or ".join(dict.fromkeys(map(self._named, found)))
        yield Misfit(member, f"may be {described(ours)}; expected is {expected}")

    def _attempt(self, ours: dict[str, Any], choice: Schema) -> tuple[list[Misfit], set[tuple[bytes, bytes]]] | None:
        """Compare with one choice: what it ignores, and the pairs that are seen then; None if it does not fit."""
        pair = (orjson.dumps(ours), orjson.dumps(resolved(choice, self.read_root)))
        if pair in self._failed:
            return None
        fresh = _Comparison(self.written_root, self.read_root, set(self._seen), self._failed)
        notes: list[Misfit] = []
        for each in fresh.compare(ours, choice, "$"):
            if each.refused:
                self._failed.add(pair)
                return None
            notes.append(each)
        return notes, fresh._seen

    def _is_anything(self, choice: Schema) -> bool:
        whole = resolved(choice, self.read_root)
        return whole is True or (isinstance(whole, dict) and is_anything(whole))

    def _named(self, schema: Schema) -> str:
        whole = resolved(schema, self.read_root)
        branches = None if isinstance(whole, bool) else _branches(whole)
        if branches is None:
            return described(whole)
        return " or ".join(dict.fromkeys(map(self._named, branches)))

    def _compare_values(self, ours: dict[str, Any], theirs: dict[str, Any], member: str) -> Iterator[Misfit]:
        if not has_kinds(kinds_of(ours), kinds_of(theirs)):
            yield Misfit(member, f"may be {described(ours)}; expected is {self._named(theirs)}")
            return
        refused = differing_values(ours, theirs)
        if refused is not None:
            yield Misfit(member, refused)
            return
        for sentence in differing_bounds(ours, theirs):
            yield Misfit(member, sentence)
        if "object" in kinds_of(ours):
            yield from self._compare_objects(ours, theirs, member)
        if "array" in kinds_of(ours):
            yield from self._compare_arrays(ours, theirs, member)

    def _compare_objects(self, ours: dict[str, Any], theirs: dict[str, Any], member: str) -> Iterator[Misfit]:
        written, read = ours.get("properties", {}), theirs.get("properties", {})
        always = set(ours.get("required", ()))
        for name in sorted(set(theirs.get("required", ())) - always):
            there = "may be absent" if name in written or not written else "is not there"
            yield Misfit(f"{member}.{name}", f"{there}; it is required")
        (names, further), (accepted, extra) = keys_and_values(ours), keys_and_values(theirs)
        for name, schema in sorted(written.items(), key=_tags_first):
            place = f"{member}.{name}"
            if name in read:
                yield from self.compare(schema, read[name], place)
            elif extra is False:
                yield Misfit(place, "is not known, and unknown members are refused")
            elif extra is not True:
                yield from self.compare(schema, extra, place)
            elif read:
                yield Misfit(place, "is not known, and ignored", refused=False)
            yield from self._compare_names({"const": name}, accepted, member)
        if "additionalProperties" not in ours and "patternProperties" not in ours:
            further = not written
        if further is not False:
            yield from self._compare_further(further, read, extra, member)
            yield from self._compare_names(names, accepted, member)

    def _compare_names(self, ours: Schema, theirs: Schema, member: str) -> Iterator[Misfit]:
        """Compare the names that members may have, such as the keys of a map."""
        read = as_texts(resolved(theirs, self.read_root))
        written = as_texts(resolved(ours, self.written_root))
        if read is not True and written is not False:
            yield from self.compare({"type": "string"} if written is True else written, read, f"{member}.(key)")

    def _compare_further(self, ours: Schema, read: dict[str, Any], extra: Schema, member: str) -> Iterator[Misfit]:
        """Compare the members of a writer that may have any name."""
        for name, schema in sorted(read.items()):
            yield from self.compare(ours, schema, f"{member}.{name}")
        if extra is False:
            yield Misfit(member, "may have members of any name; only those that are known are accepted")
        else:
            yield from self.compare(ours, extra, f"{member}.*")

    def _compare_arrays(self, ours: dict[str, Any], theirs: dict[str, Any], member: str) -> Iterator[Misfit]:
        written, written_rest = _items(ours, rest=False)
        read, read_rest = _items(theirs, rest=True)
        for index, schema in enumerate(written):
            there = read[index] if index < len(read) else read_rest
            yield from self.compare(schema, there, f"{member}[{index}]")
        if written_rest is not False:
            for index, schema in enumerate(read[len(written) :], len(written)):
                yield from self.compare(written_rest, schema, f"{member}[{index}]")
            if read_rest is not False or "maxItems" not in theirs:  # of which the length says enough
                yield from self.compare(written_rest, read_rest, f"{member}[]")


def _tags_first(member: tuple[str, Schema]) -> tuple[bool, str]:
    """The order of members: those that tell classes of a union apart come first, because they end an attempt early."""
    name, schema = member
    return isinstance(schema, bool) or listed(schema) is None, name


def _branches(schema: dict[str, Any]) -> list[Schema] | None:
    """The alternatives of a schema; None if it has none."""
    for keyword in ("anyOf", "oneOf"):
        if (choices := list_of(schema.get(keyword))) is not None:
            return choices
    kinds = list_of(schema.get("type"))
    if kinds is not None and len(kinds) > 1:
        return [{**schema, "type": kind} for kind in kinds]
    values = listed(schema)
    if values is not None and len(kinds_of({"enum": values})) > 1:
        return [{**schema, "enum": [each]} for each in values]
    return None


def _items(schema: dict[str, Any], *, rest: bool) -> tuple[list[Schema], Schema]:
    """The schemas of the first items, and of those that follow."""
    listed = list_of(schema.get("items"))
    if listed is not None:  # draft 7
        return listed, schema.get("additionalItems", rest)
    first: list[Schema] = schema.get("prefixItems", [])
    return first, schema.get("items", rest or not first)
