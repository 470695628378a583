"""Task types: the contract that a handler and its workers share, in one value."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Generic, TypeVar

from kallback.protocol.codecs import Codec
from kallback.protocol.errors import ConfigurationError

Request = TypeVar("Request")
Result = TypeVar("Result")
T = TypeVar("T")

DEFAULT_TIMEOUT: Final = timedelta(hours=1)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TaskType(Generic[Request, Result]):
    """A kind of work: its name, what goes in, what comes out, and how long a caller waits.

        prepare = TaskType("restaurant.prepare", request=Order, result=Prepared, timeout=timedelta(minutes=30))

    Attributes:
        name: letters, digits, `.`, `_`, `-`; at most 128. Workers are registered for it.
        request: the type of what the handler sends.
        result: the type of what comes back; `NoneType` for work without a result.
        timeout: how long the caller waits, over everything that happens in between. One hour unless you say
            otherwise; to wait for ever you must write None.
        topic: where tasks of this type are published; the type's own name by default.

    Raises:
        ConfigurationError: a name, topic, time-out or type that cannot work.
    """

    name: str
    request: type[Request]
    result: type[Result]
    timeout: timedelta | None = field(default=DEFAULT_TIMEOUT, kw_only=True)
    topic: str = field(default="", kw_only=True)
    request_codec: Codec[Request] = field(init=False, repr=False, compare=False)
    result_codec: Codec[Result] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ConfigurationError(
                f"{self.name!r} cannot name a task type: use 1 to 128 letters, digits, '.', '_' or '-'"
            )
        topic = self.topic or self.name
        if _TOPIC.fullmatch(topic) is None or topic in {".", ".."}:
            raise ConfigurationError(
                f"{topic!r} cannot be a Kafka topic: use 1 to 249 letters, digits, '.', '_' or '-', not '.' or '..'"
            )
        if self.timeout is not None and self.timeout <= timedelta(0):
            raise ConfigurationError(f"task type {self.name}: the time-out must be longer than 0, or None for no end")
        object.__setattr__(self, "topic", topic)
        object.__setattr__(self, "request_codec", _codec(self.request, f"task type {self.name}: the request"))
        object.__setattr__(self, "result_codec", _codec(self.result, f"task type {self.name}: the result"))


def _codec(declared: type[T], what: str) -> Codec[T]:
    try:
        return Codec(declared)
    except (TypeError, NameError) as error:  # a NameError: an annotation that cannot be resolved
        raise ConfigurationError(f"{what} type cannot travel as JSON: {error}") from None
