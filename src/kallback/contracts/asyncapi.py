"""A contract as a document of AsyncAPI 3, from the view of a worker: it receives tasks and replies with results.

Payloads are what the other side writes or reads: a request as services write it, a result as they read it. What
kallback reads or writes otherwise (a Python worker does without members that have a default) is beside it, in
extensions, so that `kallback contract diff` can compare all four. Sources: the specification 3.0.0, and its Kafka
bindings 0.5.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kallback.contracts.contract import OWN_OPERATIONS, Contract, Payload, TypeContract
from kallback.contracts.fits import Located
from kallback.contracts.headers import (
    CANCEL,
    DETAILS,
    PROBLEM,
    failure_headers,
    progress_headers,
    result_headers,
    task_headers,
)
from kallback.contracts.keywords import Schema, as_draft_7, mapped
from kallback.documentation import SITE
from kallback.protocol import ConfigurationError
from kallback.protocol import headers as names

VERSION: Final = "3.0.0"
FORMAT: Final = 1
"""Of what is kallback's own in a document."""
MARK: Final = "x-kallback-contract"
READ: Final = "x-kallback-read"
WRITTEN: Final = "x-kallback-written"
_BINDING: Final = {"bindingVersion": "0.5.0"}
_SCHEMAS: Final = "#/components/schemas/"
_TOKEN_HEADER: Final = f"$message.header#/{names.TOKEN}"
_DEFS: Final = "#/$defs/"
_ABOUT: Final = (
    f"The contract of workers: which tasks they receive, and how they reply. {SITE} explains it (Contracts, The wire)."
)


def asyncapi_of(contract: Contract, title: str, version: str) -> dict[str, Any]:
    """The document.

    Args:
        contract: of the task types.
        title: of the API.
        version: of the API.
    """
    components = _Components()
    operations = {each.name: _operation(each) for each in contract.types}
    channels = _channels(contract, components)
    monitored = any(each.monitored for each in contract.types)
    control = contract.topics.control
    cancel, progress = OWN_OPERATIONS
    operations[cancel] = _operation_on(control, "receive", "cancel", "A caller no longer waits. Optional.")
    if monitored:
        operations[progress] = _operation_on(
            contract.topics.progress, "send", "progress", "A running attempt is alive. Only with kallback-progress-to."
        )
    return {
        "asyncapi": VERSION,
        "info": {"title": title, "version": version, "description": _ABOUT},
        MARK: FORMAT,
        "defaultContentType": names.JSON,
        "channels": channels,
        "operations": operations,
        "components": components.sections(),
    }


class _Components:
    """Messages and schemas, which the rest of the document refers to."""

    def __init__(self) -> None:
        self.messages: dict[str, Any] = {}
        self.schemas: dict[str, Any] = {}

    def add_message(self, name: str, **members: Any) -> dict[str, str]:
        """Define a message; return the reference to it."""
        self.messages[name] = {
            "name": name,
            "contentType": names.JSON,
            **members,
            "correlationId": {"$ref": "#/components/correlationIds/token"},
            "bindings": {"kafka": {"key": {"type": "string"}, **_BINDING}},
        }
        return {"$ref": f"#/components/messages/{name}"}

    def add_schema(self, name: str, located: Located) -> dict[str, str]:
        """Define a schema and what it refers to, under names that begin with its own; return the reference to it.

        Raises:
            ConfigurationError: another schema has one of the names.
        """

        def moved(schema: dict[str, Any]) -> Schema:
            reference = schema.get("$ref", "")
            if not reference.startswith(_DEFS):
                return as_draft_7(schema)
            return as_draft_7({**schema, "$ref": f"{_SCHEMAS}{name}.{reference.removeprefix(_DEFS)}"})

        whole = {} if isinstance(located.schema, bool) else dict(located.schema)
        inner: Mapping[str, Schema] = whole.pop("$defs", {})
        defined = {name: mapped(whole, moved)}
        defined |= {f"{name}.{each}": mapped(schema, moved) for each, schema in inner.items()}
        for each, schema in defined.items():
            if self.schemas.setdefault(each, schema) != schema:
                raise ConfigurationError(
                    f"two schemas of the contract would have the name {each}: rename a class or a task type"
                )
        return {"$ref": f"{_SCHEMAS}{name}"}

    def add_payload(self, name: str, shown: Located, other: Located, extension: str) -> dict[str, Any]:
        """Define the payload of a message; what kallback does otherwise only where it differs."""
        found: dict[str, Any] = {"payload": self.add_schema(name, shown)}
        if shown.schema != other.schema:
            found[extension] = self.add_schema(f"{name}.{extension.removeprefix('x-kallback-')}", other)
        return found

    def sections(self) -> dict[str, Any]:
        """As a member of the document."""
        token = {"location": _TOKEN_HEADER, "description": "Completes one attempt of one task."}
        return {
            "messages": self.messages,
            "schemas": dict(sorted(self.schemas.items())),
            "correlationIds": {"token": token},
        }


def _channels(contract: Contract, components: _Components) -> dict[str, Any]:
    failure = components.add_schema("kallback.problem", Located(PROBLEM, PROBLEM))
    found: dict[str, Any] = {}
    for each in contract.types:
        task = components.add_message(
            f"{each.name}.task",
            summary=f"A task of type {each.name}.",
            headers=task_headers(each),
            **_request(each.request, each.name, components),
        )
        channel = found.setdefault(each.topic, _channel(each.topic, each.topic, "Tasks."))
        channel["messages"][f"{each.name}.task"] = task
    for each in contract.types:
        about = f"Results, in {each.results} unless kallback-reply-to of the task names another topic."
        # Without an address: it is in the header of each task, as the operations say.
        channel = found.setdefault(each.results, _channel(each.results, None, about))
        channel["messages"][f"{each.name}.result"] = components.add_message(
            f"{each.name}.result",
            summary="The task is done.",
            headers=result_headers(each),
            **_result(each.result, each.name, components),
        )
        channel["messages"][f"{each.name}.failure"] = components.add_message(
            f"{each.name}.failure", summary="The task has failed.", headers=failure_headers(each), payload=failure
        )
    return found | _own_channels(contract, components)


def _own_channels(contract: Contract, components: _Components) -> dict[str, Any]:
    control, progress = contract.topics.control, contract.topics.progress
    cancel = components.add_schema("kallback.cancel", Located(CANCEL, CANCEL))
    found = {control: _channel(control, control, "Cancels; each worker process reads all partitions.")}
    found[control]["messages"]["cancel"] = {
        "name": "cancel",
        "payload": cancel,
        "bindings": {"kafka": {"key": {"type": "string", "description": "Task id."}, **_BINDING}},
    }
    if any(each.monitored for each in contract.types):
        found[progress] = _channel(progress, progress, "Progress of tasks that have kallback-progress-to.")
        details = components.add_schema("kallback.progress-details", Located(DETAILS, DETAILS))
        found[progress]["messages"]["progress"] = components.add_message(
            "kallback.progress", summary="Started, or a heartbeat.", headers=progress_headers(), payload=details
        )
    return found


def _request(payload: Payload, name: str, components: _Components) -> dict[str, Any]:
    return components.add_payload(f"{name}.request", payload.written, payload.read, READ)


def _result(payload: Payload, name: str, components: _Components) -> dict[str, Any]:
    return components.add_payload(f"{name}.result", payload.read, payload.written, WRITTEN)


def _channel(topic: str, address: str | None, description: str) -> dict[str, Any]:
    return {
        "address": address,
        "description": description,
        "messages": {},
        "bindings": {"kafka": {"topic": topic, **_BINDING}},
    }


def _operation(contract: TypeContract) -> dict[str, Any]:
    task, results = f"#/channels/{contract.topic}", f"#/channels/{contract.results}"
    replies = [{"$ref": f"{results}/messages/{contract.name}.{kind}"} for kind in ("result", "failure")]
    return {
        "action": "receive",
        "summary": f"Do a task of type {contract.name}.",
        "channel": {"$ref": task},
        "messages": [{"$ref": f"{task}/messages/{contract.name}.task"}],
        "reply": {
            "address": {"location": f"$message.header#/{names.REPLY_TO}"},
            "channel": {"$ref": results},
            "messages": replies,
        },
        "x-kallback-convention": contract.convention.value,
        "x-kallback-seconds": dict(contract.seconds),
    }


def _operation_on(topic: str, action: str, message: str, summary: str) -> dict[str, Any]:
    channel = f"#/channels/{topic}"
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{message}"}],
    }
