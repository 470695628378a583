"""Makes a call that a method's signature does not take a terminal error, such as one with a misspelt keyword.

Python raises TypeError there, which Restate retries without end. A `TypeError` from inside a method stays one.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, cast

from restate import TerminalError

from kallback.protocol import TaskType
from kallback.sdk.arguments import not_sent
from kallback.sdk.errors import BAD_REQUEST, CompletionRefused

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")
Class = TypeVar("Class")


def checked_methods(*besides: str) -> Callable[[type[Class]], type[Class]]:
    """Have the public methods of a class answer such calls; without those that handlers do not call."""

    def checked(of: type[Class]) -> type[Class]:
        for name, method in dict(vars(of)).items():
            if inspect.isfunction(method) and not name.startswith("_") and name not in besides:
                setattr(of, name, checked_call(method))
        return of

    return checked


def checked_call(function: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """Have a function that handlers call answer such calls.

    With `TaskNotSent` if it is given a task type, with `CompletionRefused` if it completes an awakeable (as all that
    are not awaited do), else with `TerminalError`.
    """
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args: Any, **named: Any) -> Any:
            try:
                begun: Any = function(*args, **named)  # nothing of it runs before it is awaited
            except TypeError as error:
                raise _refusal(error, args, named) from None
            return await begun

        return cast("Callable[Parameters, Returned]", awaited)

    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*args: Parameters.args, **named: Parameters.kwargs) -> Returned:
        try:
            signature.bind(*args, **named)
        except TypeError as error:
            sentence = f"{function.__qualname__}() {error}"
            raise CompletionRefused("invalid-argument", sentence) from None
        return function(*args, **named)

    return called


def _refusal(error: TypeError, args: Sequence[object], named: Mapping[str, object]) -> TerminalError:
    types = (each.name for each in (*args, *named.values()) if isinstance(each, TaskType))
    task_type = next(types, None)
    return TerminalError(str(error), BAD_REQUEST) if task_type is None else not_sent(task_type, str(error))
