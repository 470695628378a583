"""Reads back a contract from the document that `kallback contract export` wrote."""

from __future__ import annotations

from typing import Any, Final

from kallback.contracts.asyncapi import FORMAT, MARK, READ, WRITTEN
from kallback.contracts.contract import LIMITS, Contract, Payload, TypeContract
from kallback.contracts.fits import Located
from kallback.contracts.keywords import dict_of, list_of, malformed, pointed, schema_of
from kallback.protocol.errors import ConfigurationError
from kallback.protocol.frameworks.conventions import Convention
from kallback.settings import Topics

_LONGEST_CHAIN: Final = 10
"""References to references."""
_REMEDY: Final = "write it with `kallback contract export`"


def read_contract(document: object, name: str) -> Contract:
    """Read a document.

    Args:
        document: as YAML or JSON says it.
        name: for sentences: the file's.

    Raises:
        ConfigurationError: it is no contract of kallback's, or a part is missing.
    """
    whole = dict_of(document)
    if whole is None or MARK not in whole:
        raise ConfigurationError(f"{name} is no contract of kallback: {_REMEDY}")
    if whole[MARK] != FORMAT:
        raise ConfigurationError(f"{name} has format {whole[MARK]!r} and {FORMAT} is known here: upgrade kallback")
    reader = _Reader(whole, name)
    components = dict_of(whole.get("components")) or {}
    for each, schema in (dict_of(components.get("schemas")) or {}).items():
        reader.check(schema, each)
    operations = dict_of(reader.at(whole, "operations")) or {}
    types = [
        reader.type_contract(each, members)
        for each, operation in sorted(operations.items())
        if (members := dict_of(operation)) is not None and "reply" in members
    ]
    return Contract(tuple(types), Topics())


class _Reader:
    def __init__(self, document: dict[str, Any], name: str) -> None:
        self._document = document
        self._name = name

    def at(self, parent: object, *steps: str) -> Any:
        """The member of a member; follows references."""
        found = parent
        for step in steps:
            members = dict_of(self._follow(found))
            if members is None or step not in members:
                raise ConfigurationError(f"{self._name} lacks {'.'.join(steps)} in a part: {_REMEDY}")
            found = members[step]
        return self._follow(found)

    def _follow(self, found: object) -> Any:
        for _ in range(_LONGEST_CHAIN):
            members = dict_of(found)
            if members is None or "$ref" not in members:
                return found
            found = pointed(str(members["$ref"]), self._document)
            if found is None:
                raise ConfigurationError(f"{self._name}: {members['$ref']!r} leads nowhere: {_REMEDY}")
        raise ConfigurationError(f"{self._name}: a reference refers to itself: {_REMEDY}")

    def type_contract(self, name: str, operation: dict[str, Any]) -> TypeContract:
        """The contract of one task type, from its operation."""
        task = self._message(operation, f"{name}.task")
        result = self._message(self.at(operation, "reply"), f"{name}.result")
        seconds = dict_of(operation.get("x-kallback-seconds")) or {}
        return TypeContract(
            name=name,
            topic=str(self.at(operation, "channel", "bindings", "kafka", "topic")),
            results=str(self.at(operation, "reply", "channel", "bindings", "kafka", "topic")),
            request=Payload(self._schema(task, "payload"), self._schema(task, READ, "payload")),
            result=Payload(self._schema(result, WRITTEN, "payload"), self._schema(result, "payload")),
            convention=self._convention(operation),
            seconds={limit: float(seconds[limit]) for limit in LIMITS if isinstance(seconds.get(limit), (int, float))},
        )

    def _message(self, operation: object, name: str) -> dict[str, Any]:
        for each in list_of(self.at(operation, "messages")) or ():
            found = dict_of(self._follow(each))
            if found is not None and found.get("name") == name:
                return found
        raise ConfigurationError(f"{self._name} lacks the message {name}: {_REMEDY}")

    def _schema(self, message: dict[str, Any], *members: str) -> Located:
        """The first of these members that is there."""
        found = schema_of(next((message[each] for each in members if each in message), None))
        if found is None:
            raise ConfigurationError(f"{self._name}: message {message.get('name')} has no payload: {_REMEDY}")
        self.check(found, f"message {message.get('name')}")
        return Located(found, self._document)

    def check(self, schema: object, what: str) -> None:
        """Refuse a schema whose keywords have values that they cannot have."""
        if (keyword := malformed(schema)) is not None:
            raise ConfigurationError(f"{self._name}: {what} has no JSON Schema, because of {keyword}: {_REMEDY}")

    def _convention(self, operation: dict[str, Any]) -> Convention:
        text = operation.get("x-kallback-convention", Convention.KALLBACK)
        try:
            return Convention(text)
        except ValueError:
            raise ConfigurationError(f"{self._name}: the convention {text!r} is not known: upgrade kallback") from None
