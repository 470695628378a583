"""Signatures of task functions: what a type checker would say, said at registration to those who use none."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any, Final

from kallback.protocol.errors import ConfigurationError
from kallback.protocol.tasktypes import TaskType
from kallback.workers.context import TaskContext

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_WIDENED: Final = (float, complex)  # type checkers take an int for them


def takes_context(task_type: TaskType[Any, Any], function: Callable[..., Any]) -> bool:
    """Whether the function wants the context beside the request.

    Raises:
        ConfigurationError: it can be called with neither one nor two.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False  # some built-in functions show none: only the request is certain
    for count in (2, 1):
        try:
            signature.bind(*(None,) * count)
        except TypeError:
            continue
        return count > 1 and _is_context(list(signature.parameters.values()), function)
    raise ConfigurationError(
        f"{name_of(function)}{signature} cannot do task type {task_type.name}: write "
        f"({_type_name(task_type.request)}) or ({_type_name(task_type.request)}, TaskContext) as its parameters"
    )


def _is_context(parameters: list[inspect.Parameter], function: Callable[..., Any]) -> bool:
    """Whether the second place is for the context; one with a default must say so by its annotation."""
    if len(parameters) < 2 or parameters[1].kind not in _POSITIONAL:  # noqa: PLR2004 - the second parameter
        return False
    second = parameters[1]
    annotation = _hints_of(function).get(second.name, second.annotation)
    if second.default is not inspect.Parameter.empty:
        return annotation is TaskContext or TaskContext in typing.get_args(annotation)
    given = inspect.isclass(annotation) and annotation is not inspect.Parameter.empty
    if given and not issubclass(TaskContext, annotation):
        raise ConfigurationError(
            f"{name_of(function)}: the second parameter is the task's TaskContext, not {_type_name(annotation)}"
        )
    return True


def check_annotations(task_type: TaskType[Any, Any], function: Callable[..., Any]) -> None:
    """Catch what a type checker would, where both sides are plain classes; the rest is the type checker's.

    Raises:
        ConfigurationError: an annotation contradicts the task type.
    """
    hints = _hints_of(function)
    first = next(iter(_parameters_of(function)), None)
    if first is not None and _contradicts(task_type.request, hints.get(first)):
        raise ConfigurationError(
            f"{name_of(function)} takes {_type_name(hints[first])}, but the request of task type {task_type.name} is "
            f"{_type_name(task_type.request)}: make them one type"
        )
    if _contradicts(hints.get("return"), task_type.result):
        raise ConfigurationError(
            f"{name_of(function)} returns {_type_name(hints['return'])}, but the result of task type "
            f"{task_type.name} is {_type_name(task_type.result)}: make them one type"
        )


def _contradicts(given: object, wanted: object) -> bool:
    """Whether a value of the first type is certainly none of the second."""
    if not (isinstance(given, type) and isinstance(wanted, type)) or typing.is_typeddict(wanted):
        return False
    if given is Any or wanted is Any:  # Any is a class since Python 3.11
        return False
    if typing.get_origin(given) or typing.get_origin(wanted) or wanted in _WIDENED:
        return False
    try:
        return not issubclass(given, wanted)
    except TypeError:
        return False  # a protocol or another special form: the type checker's


def _parameters_of(function: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def _hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations as objects; none where they cannot be resolved (names that exist for type checkers only)."""
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(target)
    except Exception:  # noqa: BLE001 - an annotation is any expression and may raise anything
        return {}


def name_of(function: Callable[..., Any]) -> str:
    """The function's name, for sentences."""
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def no_task_type(given: object) -> str:
    """The sentence that refuses what `@worker.task` was given: the function of a bare decorator, or another value."""
    if callable(given) and not isinstance(given, type):
        return (
            f"@worker.task needs the task type that {name_of(given)} does: write @worker.task(prepare) with a "
            "TaskType, not the bare @worker.task"
        )
    return (
        f"@worker.task needs a TaskType, and got {_type_name(given)!r}: write @worker.task(prepare), where "
        "prepare = TaskType(...) is what callers use"
    )


def _type_name(declared: Any) -> str:
    return getattr(declared, "__qualname__", None) or str(declared)
