"""Task functions: which shapes a function may have, checked when it is registered and not when a task arrives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from kallback.protocol.errors import ConfigurationError
from kallback.protocol.tasktypes import TaskType
from kallback.workers.context import TaskContext
from kallback.workers.pickling import pickled
from kallback.workers.registration.options import Acknowledge, Executor, Registration
from kallback.workers.registration.signatures import check_annotations, name_of, takes_context

Request = TypeVar("Request")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class TaskFunction:
    """A registered function.

    Attributes:
        executor: where it runs.
        takes_context: whether it has the second parameter.
        limit: maximum number at one time; None for the worker's limit only.
        ordered: whether tasks of one record key run one after another.
        acknowledge: when the record is settled.
    """

    task_type: TaskType[Any, Any]
    function: Callable[..., Any]
    executor: Executor
    takes_context: bool
    limit: int | None = None
    ordered: bool = False
    acknowledge: Acknowledge = Acknowledge.RESULT

    @property
    def name(self) -> str:
        """The function's name, for sentences."""
        return name_of(self.function)

    def arguments(self, request: Any, context: TaskContext) -> tuple[Any, ...]:
        """What to call the function with."""
        return (request, context) if self.takes_context else (request,)


class TaskDecorator(Generic[Request, Result]):
    """What `worker.task(task_type)` returns: registers a function and hands it back as it is."""

    def __init__(
        self,
        task_type: TaskType[Request, Result],
        register: Callable[[TaskFunction], None],
        registration: Registration,
    ) -> None:
        self._task_type = task_type
        self._register = register
        self._registration = registration

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
        self._register(inspect_function(self._task_type, function, self._registration))
        return function


def inspect_function(
    task_type: TaskType[Any, Any], function: Callable[..., Any], registration: Registration | None = None
) -> TaskFunction:
    """Look at a function's shape.

    Raises:
        ConfigurationError: it is no task function of this type, or cannot be run as it is registered.
    """
    wanted = registration or Registration()
    wanted.check(task_type)
    if not callable(function):
        raise ConfigurationError(f"task type {task_type.name}: {function!r} cannot be called, decorate a function")
    call = function if inspect.isroutine(function) or inspect.isclass(function) else type(function).__call__
    if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        raise ConfigurationError(f"{name_of(function)} is a generator: a task function returns its one result")
    with_context = takes_context(task_type, function)
    check_annotations(task_type, function)
    executor = _executor_of(function, call, wanted.executor)
    return TaskFunction(
        task_type,
        function,
        executor,
        with_context,
        wanted.limit(executor),
        wanted.ordered,
        wanted.acknowledge,
    )


def _executor_of(function: Callable[..., Any], call: Callable[..., Any], wanted: Executor | None) -> Executor:
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
    if wanted is None:
        return Executor.LOOP if is_async else Executor.THREAD
    if is_async is not (wanted is Executor.LOOP):
        shape = "an async def" if is_async else "a plain def"
        raise ConfigurationError(
            f"{name_of(function)} is {shape} and cannot have executor={wanted.value!r}: coroutines run on the loop, "
            "plain functions in a thread or in a process"
        )
    if wanted is Executor.PROCESS:
        _check_top_level(function)
    return wanted


def _check_top_level(function: Callable[..., Any]) -> None:
    """Whether a child can import it; a module that is not complete yet is looked at when the worker starts."""
    if inspect.isfunction(function):
        if function.__qualname__.isidentifier():
            return
        reason = "it is not at the top level of its module"
    else:
        try:
            pickled(function)
        except Exception as error:  # noqa: BLE001 - pickling raises several things
            reason = str(error)
        else:
            return
    raise ConfigurationError(
        f"{name_of(function)} cannot have executor='process': a child process imports it by its name, and {reason}. "
        "Move it to the top level of a module"
    )
