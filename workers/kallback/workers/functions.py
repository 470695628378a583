"""Task functions: which shapes a function may have, checked when it is registered and not when a task arrives."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, overload

from kallback.protocol.errors import ConfigurationError
from kallback.protocol.tasktypes import TaskType
from kallback.workers.context import TaskContext

Request = TypeVar("Request")
Result = TypeVar("Result")

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_WIDENED: Final = (float, complex)  # type checkers take an int for them


@dataclass(frozen=True, slots=True)
class TaskFunction:
    """A registered function.

    Attributes:
        in_loop: whether it is a coroutine function; the others run in threads.
        takes_context: whether it has the second parameter.
    """

    task_type: TaskType[Any, Any]
    function: Callable[..., Any]
    in_loop: bool
    takes_context: bool

    @property
    def name(self) -> str:
        """The function's name, for sentences."""
        return _name_of(self.function)

    def arguments(self, request: Any, context: TaskContext) -> tuple[Any, ...]:
        """What to call the function with."""
        return (request, context) if self.takes_context else (request,)


class TaskDecorator(Generic[Request, Result]):
    """What `worker.task(task_type)` returns: registers a function and hands it back as it is."""

    def __init__(self, task_type: TaskType[Request, Result], register: Callable[[TaskFunction], None]) -> None:
        self._task_type = task_type
        self._register = register

    @overload
    def __call__(
        self, function: Callable[[Request], Coroutine[Any, Any, Result]], /
    ) -> Callable[[Request], Coroutine[Any, Any, Result]]: ...
    @overload
    def __call__(
        self, function: Callable[[Request, TaskContext], Coroutine[Any, Any, Result]], /
    ) -> Callable[[Request, TaskContext], Coroutine[Any, Any, Result]]: ...
    @overload
    def __call__(self, function: Callable[[Request], Result], /) -> Callable[[Request], Result]: ...
    @overload
    def __call__(
        self, function: Callable[[Request, TaskContext], Result], /
    ) -> Callable[[Request, TaskContext], Result]: ...
    def __call__(self, function: Callable[..., Any], /) -> Callable[..., Any]:
        """Register the function.

        Raises:
            ConfigurationError: it cannot be called with a request (and a context), its annotations contradict the
                task type, another one is registered for the type, or the worker has started.
        """
        self._register(inspect_function(self._task_type, function))
        return function


def inspect_function(task_type: TaskType[Any, Any], function: Callable[..., Any]) -> TaskFunction:
    """Look at a function's shape.

    Raises:
        ConfigurationError: it is no task function of this type.
    """
    if not callable(function):
        raise ConfigurationError(f"task type {task_type.name}: {function!r} cannot be called, decorate a function")
    call = function if inspect.isroutine(function) or inspect.isclass(function) else type(function).__call__
    if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        raise ConfigurationError(f"{_name_of(function)} is a generator: a task function returns its one result")
    takes_context = _takes_context(task_type, function)
    _check_annotations(task_type, function)
    in_loop = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
    return TaskFunction(task_type, function, in_loop=in_loop, takes_context=takes_context)


def _takes_context(task_type: TaskType[Any, Any], function: Callable[..., Any]) -> bool:
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
        f"{_name_of(function)}{signature} cannot do task type {task_type.name}: write "
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
            f"{_name_of(function)}: the second parameter is the task's TaskContext, not {_type_name(annotation)}"
        )
    return True


def _check_annotations(task_type: TaskType[Any, Any], function: Callable[..., Any]) -> None:
    """Catch what a type checker would, where both sides are plain classes; the rest is the type checker's."""
    hints = _hints_of(function)
    first = next(iter(_parameters_of(function)), None)
    if first is not None and _contradicts(task_type.request, hints.get(first)):
        raise ConfigurationError(
            f"{_name_of(function)} takes {_type_name(hints[first])}, but the request of task type {task_type.name} is "
            f"{_type_name(task_type.request)}: make them one type"
        )
    if _contradicts(hints.get("return"), task_type.result):
        raise ConfigurationError(
            f"{_name_of(function)} returns {_type_name(hints['return'])}, but the result of task type "
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


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def _type_name(declared: Any) -> str:
    return getattr(declared, "__qualname__", None) or str(declared)
