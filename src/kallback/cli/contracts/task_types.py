"""The task types and workers that a command line names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, Final, cast

import click

from kallback.cli.imports import TargetKind, import_module, is_made_by, load_target, split_target
from kallback.protocol import TaskType
from kallback.protocol.errors import ConfigurationError

_EXAMPLE: Final = "kitchen.tasks:prepare"
_WHAT: Final = "a TaskType, several of them in a list, or a Worker"


def task_types_of(targets: Iterable[str]) -> list[TaskType[Any, Any]]:
    """The task types that targets of the form MODULE or MODULE:NAME,... name.

    Raises:
        ConfigurationError: a target has another shape, its module cannot be imported, or it names no task type.
    """
    return [each for target in targets for each in _task_types(target)]


def worker_task_types(targets: Iterable[str]) -> list[TaskType[Any, Any]]:
    """The same without types that only awakeables use, which are said.

    Raises:
        ConfigurationError: as `task_types_of`.
    """
    found = task_types_of(targets)
    if left_out := sorted({each.name for each in found if each.awakeable_only}):
        click.echo(f"Left out, because no worker does them (awakeable_only): {', '.join(left_out)}", err=True)
    return [each for each in found if not each.awakeable_only]


def named_task_types(targets: Iterable[str]) -> dict[str, TaskType[Any, Any]]:
    """The same by their names.

    Raises:
        ConfigurationError: as `task_types_of`, or two types that differ have one name.
    """
    found = dict[str, TaskType[Any, Any]]()
    for each in task_types_of(targets):
        if found.setdefault(each.name, each) is not each:
            raise ConfigurationError(f"there are two task types {each.name}: name the right one as MODULE:NAME")
    return found


def _task_types(target: str) -> Iterator[TaskType[Any, Any]]:
    module_name, _, listed = target.partition(":")
    names = [name.strip() for name in listed.split(",")] if listed else []
    for name in names or ["prepare"]:
        split_target(f"{module_name}:{name}", what=_WHAT, example=_EXAMPLE)  # refuses paths and expressions
    module = import_module(module_name)
    found = [each for name in names for each in _named(module, name)] if names else _all_of(module)
    if not found:
        raise ConfigurationError(f"module {module_name!r} has no task type: name the module that declares them")
    yield from found


def _named(module: ModuleType, name: str) -> list[TaskType[Any, Any]]:
    found: Any = getattr(module, name, None)
    types = _held_by(found)
    if not types and isinstance(found, (list, tuple, set, frozenset, Mapping)):
        several = cast("Iterable[Any]", found.values() if isinstance(found, Mapping) else found)  # pyright: ignore[reportUnknownMemberType]
        types = [part for each in several for part in _held_by(each)]
    if not types:
        place = f"{module.__name__}:{name}"
        raise ConfigurationError(f"{place} is not {_WHAT}" if found is not None else f"there is no {place}: {_WHAT}")
    return types


def _all_of(module: ModuleType) -> list[TaskType[Any, Any]]:
    """Those of the module's variables, imported ones included."""
    return [part for each in vars(module).values() for part in _held_by(each)]


def _held_by(found: object) -> list[TaskType[Any, Any]]:
    if isinstance(found, TaskType):
        return [found]
    return list(_worker_types(found))


def _worker_types(found: object) -> tuple[TaskType[Any, Any], ...]:
    """The types of a worker, without an import of the workers' package."""
    if not is_made_by(found, "kallback.workers") or isinstance(found, type):
        return ()
    types: tuple[TaskType[Any, Any], ...] = getattr(found, "task_types", ())
    return types


def load_worker(target: str) -> Any:
    """Import the worker that MODULE:NAME names.

    Raises:
        ConfigurationError: the text has another shape, or there is no such module, name or worker.
    """
    return load_target(target, _WORKER)


_WORKER: Final = TargetKind(
    accepts=lambda each: (
        not isinstance(each, type) and is_made_by(each, "kallback.workers") and hasattr(each, "task_types")
    ),
    what="a kallback.workers.Worker",
    example="kitchen:worker",
)
