"""The contract of task types: what services and workers that do not share a line of code have to agree on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from kallback.contracts.fits import Located
from kallback.contracts.schemas import Direction, schema_of
from kallback.protocol.errors import ConfigurationError
from kallback.protocol.frameworks.conventions import Convention
from kallback.protocol.tasktypes import TaskType
from kallback.settings import Topics


@dataclass(frozen=True, slots=True)
class Payload:
    """A request or a result.

    Attributes:
        written: what kallback writes: each member that has a default, too.
        read: what it reads.
    """

    written: Located
    read: Located


@dataclass(frozen=True, slots=True)
class TypeContract:
    """What both sides have to know of one task type.

    Attributes:
        topic: where its tasks are.
        results: where its results go.
        convention: the framework of its workers.
        seconds: its limits by the name of the option, such as `timeout`; those that it has.
    """

    name: str
    topic: str
    results: str
    request: Payload
    result: Payload
    convention: Convention = Convention.KALLBACK
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def monitored(self) -> bool:
        """Whether its workers have to send progress."""
        return bool(self.seconds.keys() & {"start_timeout", "heartbeat_every"})


@dataclass(frozen=True, slots=True)
class Contract:
    """The contract of several task types, in the order of their names.

    Attributes:
        topics: of the environment.
    """

    types: tuple[TypeContract, ...]
    topics: Topics = field(default_factory=Topics)


OWN_OPERATIONS: Final = ("kallback.cancel", "kallback.progress")
"""Beside those of task types, which have the types' names."""
LIMITS: Final = ("timeout", "attempt_timeout", "start_timeout", "heartbeat_every")


def contract_of(task_types: Iterable[TaskType[Any, Any]], topics: Topics) -> Contract:
    """Make the contract of task types.

    Raises:
        ConfigurationError: there are none, two of them have the same name, a name is the document's own, a topic is one
            of kallback's, or a type has no JSON Schema.
    """
    by_name: dict[str, TaskType[Any, Any]] = {}
    for each in task_types:
        if each.name in OWN_OPERATIONS:
            raise ConfigurationError(f"task type {each.name!r} has a name that a contract uses itself: rename it")
        if (reason := topics.why_no_task_topic(each.topic)) is not None:
            raise ConfigurationError(f"task type {each.name!r}: {reason}")
        if by_name.setdefault(each.name, each) != each:
            raise ConfigurationError(f"there are two task types {each.name!r}, which differ: declare it once")
    if not by_name:
        raise ConfigurationError("there is no task type: a contract is made of at least one kallback.protocol.TaskType")
    return Contract(tuple(_type_contract(by_name[name], topics) for name in sorted(by_name)), topics)


def _type_contract(task_type: TaskType[Any, Any], topics: Topics) -> TypeContract:
    limits = {name: getattr(task_type, name) for name in LIMITS}
    return TypeContract(
        name=task_type.name,
        topic=task_type.topic,
        results=task_type.results_topic or topics.results,
        request=payload_of(task_type.request, f"the request of task type {task_type.name}"),
        result=payload_of(task_type.result, f"the result of task type {task_type.name}"),
        convention=task_type.convention,
        seconds={name: limit.total_seconds() for name, limit in limits.items() if limit is not None},
    )


def payload_of(declared: Any, what: str) -> Payload:
    """The two schemas of a declared type.

    Raises:
        ConfigurationError: the type, or a member of it, has no JSON Schema.
    """
    written, read = (schema_of(declared, each, what) for each in (Direction.WRITTEN, Direction.READ))
    return Payload(Located(written, written), Located(read, read))
