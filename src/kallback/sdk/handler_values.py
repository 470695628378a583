"""Whether the parameter and the result of a handler can cross Restate.

Restate's SDK decodes a parameter into its type only for a `msgspec.Struct` or a pydantic model. Everything else is what
JSON gives: a handler that says it takes a dataclass gets a dict, fails with `AttributeError`, and is retried without
end. One that returns a dataclass cannot be encoded, with the same end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import is_dataclass
from typing import Any, Final, cast, get_args

import msgspec
from restate import Service, TerminalError, VirtualObject, Workflow
from restate.handler import RESTATE_UNIQUE_HANDLER_SYMBOL, Handler, TypeHint
from restate.serde import DefaultSerde, Serde

from kallback.documentation import page_address
from kallback.protocol.errors import ConfigurationError

_WITH_PARAMETER: Final = 2
_MARKS: Final = ("model_validate_json", "__attrs_attrs__")
"""What classes of pydantic and attrs have."""


def check_services(services: Iterable[Service | VirtualObject | Workflow]) -> None:
    """Refuse handlers whose parameter or result Restate's SDK cannot convert.

    Raises:
        ConfigurationError: the sentence names the handler, the type and the remedy.
    """
    for service in services:
        handlers: dict[str, Handler[Any, Any]] = vars(service)["handlers"]  # its annotation lacks the parameters
        for handler in handlers.values():
            check_handler(handler)


def check_handler(handler: Handler[Any, Any]) -> None:
    """Refuse one handler, as `check_services` does; one with a serde of its own is never refused."""
    values, name = handler.handler_io, _name(handler)
    taken = _unconverted(values.input_serde, values.input_type)
    if taken is not None:
        raise ConfigurationError(
            f"the handler {name} would not get {taken}: Restate's SDK gives it the plain JSON value, such as a dict. "
            f"{_remedy(taken, 'input_serde')}"
        )
    returned = _unconverted(values.output_serde, values.output_type)
    if returned is not None:
        raise ConfigurationError(
            f"the handler {name} cannot return {returned}: Restate's SDK cannot encode it. "
            f"{_remedy(returned, 'output_serde')}"
        )


def handler_of(function: Callable[..., Any]) -> Handler[Any, Any] | None:
    """What Restate's decorator knows of a function; None for one that is not decorated."""
    found: Handler[Any, Any] | None = getattr(function, RESTATE_UNIQUE_HANDLER_SYMBOL, None)
    return found


def received(handler: Handler[Any, Any], arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a caller's arguments as the handler gets them after their way through Restate.

    Raises:
        ConfigurationError: the handler is one that `check_handler` refuses, or its serde cannot encode the argument.
        TerminalError: its serde cannot decode it, as in production.
    """
    check_handler(handler)
    if handler.arity != _WITH_PARAMETER or len(arguments) != 1:
        return arguments  # none, or a mistake that Python itself names
    [argument] = arguments
    serde = handler.handler_io.input_serde
    try:
        sent = bytes(serde.serialize(argument))
    except Exception as error:
        raise ConfigurationError(
            f"a value of type {type(argument).__name__} cannot be sent to the handler {_name(handler)} ({error}): pass "
            f"one of its parameter's type, or what JSON can hold"
        ) from error
    try:
        return (serde.deserialize(sent),)
    except Exception as error:
        raise TerminalError(f"Unable to parse an input argument. {error}") from error


def check_result(handler: Handler[Any, Any], result: object) -> None:
    """Refuse what a handler returned if it cannot be encoded, where Restate would retry without end.

    Raises:
        ConfigurationError: the sentence names the handler and the remedy.
    """
    try:
        handler.handler_io.output_serde.serialize(result)
    except Exception as error:
        kind = type(result).__name__
        raise ConfigurationError(
            f"the handler {_name(handler)} returned {kind}, which cannot be encoded "
            f"({error}): return what JSON can hold, or annotate the result with a msgspec.Struct or a pydantic model: "
            f"{page_address('install', 'types-of-requests-and-results')}"
        ) from error


def _name(handler: Handler[Any, Any]) -> str:
    return f"{handler.service_tag.name}/{handler.name}"


def _remedy(kind: str, serde: str) -> str:
    return (
        f"Make {kind} a msgspec.Struct or a pydantic model, not inside a list or a union, "
        f"or set {serde}= in the decorator: {page_address('install', 'types-of-requests-and-results')}"
    )


def _unconverted(serde: Serde[Any], hint: TypeHint[Any] | None) -> str | None:
    """The name of the annotated type if a value of it would not cross."""
    if hint is None or getattr(serde, "type_hint", None) is not None or type(serde) is not DefaultSerde:
        return None
    return next((each.__qualname__ for each in _classes(hint.annotation) if _needs_conversion(each)), None)


def _needs_conversion(kind: type[Any]) -> bool:
    return issubclass(kind, msgspec.Struct) or is_dataclass(kind) or any(hasattr(kind, each) for each in _MARKS)


def _classes(annotation: Any) -> Iterator[type[Any]]:
    """The classes that an annotation names, inside lists and unions as well."""
    if isinstance(annotation, type):
        yield cast("type[Any]", annotation)
    for each in get_args(annotation):
        yield from _classes(each)
