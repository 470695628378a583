"""Task types: the contract that a handler and its workers share, in one value."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, cast

from kallback.protocol.errors import ConfigurationError
from kallback.protocol.frameworks.conventions import Convention
from kallback.protocol.retries import RetryPolicy, check_duration
from kallback.protocol.values.codecs import Codec

if TYPE_CHECKING:
    from typing_extensions import TypeForm, TypeVar  # part of every type checker, newer than the oldest Python

    Request = TypeVar("Request", default=Any)
    Result = TypeVar("Result", default=Any)
else:
    from typing import TypeVar

    Request = TypeVar("Request")
    Result = TypeVar("Result")
T = TypeVar("T")

DEFAULT_TIMEOUT: Final = timedelta(hours=1)
INTERVALS_UNTIL_LOST: Final = 3
"""Heartbeats in a row that must be missing: one may be late, one may be lost with a broker."""

_LEAST: Final = {
    "attempt_timeout": timedelta(milliseconds=1),
    "start_timeout": timedelta(milliseconds=100),
    "heartbeat_every": timedelta(milliseconds=100),
}
LONGEST_TIMEOUT: Final = timedelta(days=36_500)
"""Deadlines are dates, and dates end with the year 9999; a task without a deadline has the timeout None."""
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_KAFKA_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)


def is_kafka_name(text: str) -> bool:
    """Whether Kafka takes a text as the name of a topic, or as the instance id of a group member."""
    return _KAFKA_NAME.fullmatch(text) is not None and text not in {".", ".."}


@dataclass(frozen=True)  # no slots: before Python 3.12 `TaskType[A, B](...)` raises TypeError with them
class TaskType(Generic[Request, Result]):
    """A kind of work: its name, what goes in, what comes out, and how long a caller waits.

        prepare = TaskType("restaurant.prepare", request=Order, result=Prepared, timeout=timedelta(minutes=30))

    Any type that JSON can carry will do: `Prepared | None`, `Literal["hot", "cold"]`, `list[Order]`, None.

    Attributes:
        name: letters, digits, `.`, `_`, `-`; at most 128. Workers are registered for it.
        request: the type of what the handler sends.
        result: the type of what comes back; `NoneType` for work without a result.
        timeout: how long the caller waits, over all attempts and everything in between. One hour unless you say
            otherwise; to wait without a limit, write None.
        attempt_timeout: how long one attempt may take, from its dispatch to its result. None, the default: as long
            as the task.
        start_timeout: how long an attempt may lie in its topic before a worker starts it. None, the default: no
            matter how long.
        heartbeat_every: how often a running attempt must be heard of. Three intervals without a heartbeat, and it
            counts as lost. None, the default: no heartbeats. Workers of this kit send them by themselves. Give it
            together with `retry`: without a policy a lost attempt fails the task, and nothing runs it again.
        retry: what follows a failed attempt. None, the default: nothing, its failure is the task's.
        topic: where tasks of this type are published; the type's own name by default.
        results_topic: where its results go, for workers that hold up those of others, such as with transactions; one of
            `KALLBACK_TOPICS_MORE_RESULTS`. The environment's results topic by default.
        convention: the framework of its workers, if they have one that looks for headers of its own, such as
            `Convention.FASTSTREAM`. Workers with Spring or NestJS need none.
        awakeable_only: True for a type that no worker does, such as an approval, which `callbacks.awakeable` asks for.
            It has no topic, is in no contract of workers, and cannot be published.

    Raises:
        ConfigurationError: a name, topic, timeout or type that cannot work.
    """

    name: str
    request: TypeForm[Request]
    result: TypeForm[Result]
    timeout: timedelta | None = field(default=DEFAULT_TIMEOUT, kw_only=True)
    attempt_timeout: timedelta | None = field(default=None, kw_only=True)
    start_timeout: timedelta | None = field(default=None, kw_only=True)
    heartbeat_every: timedelta | None = field(default=None, kw_only=True)
    retry: RetryPolicy | None = field(default=None, kw_only=True)
    topic: str = field(default="", kw_only=True)
    results_topic: str = field(default="", kw_only=True)
    convention: Convention = field(default=Convention.KALLBACK, kw_only=True)
    awakeable_only: bool = field(default=False, kw_only=True)
    request_codec: Codec[Request] = field(init=False, repr=False, compare=False)
    result_codec: Codec[Result] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check_types()
        if _NAME.fullmatch(self.name) is None:
            raise ConfigurationError(
                f"{self.name!r} cannot name a task type: use 1 to 128 letters, digits, '.', '_' or '-'"
            )
        topic = self.topic or self.name
        for each in (topic, self.results_topic or topic):
            if not is_kafka_name(each):
                raise ConfigurationError(
                    f"{each!r} cannot be a Kafka topic: use 1 to 249 letters, digits, '.', '_' or '-', not '.' or '..'"
                )
        if self.results_topic == topic:
            raise ConfigurationError(
                f"task type {self.name}: tasks and results cannot share the topic {topic}: name another one"
            )
        self._check_limits()
        self._check_awakeable_only()
        object.__setattr__(self, "convention", _convention(self.name, self.convention))
        object.__setattr__(self, "topic", topic)
        object.__setattr__(self, "request_codec", _codec(self.request, f"task type {self.name}: the request"))
        object.__setattr__(self, "result_codec", _codec(self.result, f"task type {self.name}: the result"))

    @property
    def monitored(self) -> bool:
        """Whether its running attempts must be reported: for start timeouts and heartbeats."""
        return self.start_timeout is not None or self.heartbeat_every is not None

    @property
    def heartbeat_limit(self) -> timedelta | None:
        """After so long without a heartbeat a running attempt is lost; None without heartbeats."""
        return None if self.heartbeat_every is None else INTERVALS_UNTIL_LOST * self.heartbeat_every

    def _check_types(self) -> None:
        """Refuse here what would only fail in a handler, which Restate then retries without end."""
        for name in ("name", "topic", "results_topic"):
            if not isinstance(getattr(self, name), str):
                raise ConfigurationError(f"task type {self.name!r}: {name} must be a str")
        for name in ("timeout", *_LEAST):
            limit = getattr(self, name)
            if limit is not None:
                check_duration(f"task type {self.name}: {name}", limit)
        retry: object = getattr(self, "retry")  # noqa: B009 - it may be anything, whatever is declared
        if retry is not None and not isinstance(retry, RetryPolicy):
            raise ConfigurationError(
                f"task type {self.name}: retry must be a RetryPolicy or None, such as RetryPolicy(attempts=3)"
            )

    def _check_awakeable_only(self) -> None:
        """Refuse what only tasks of workers have."""
        given = [name for name in (*_LEAST, "retry") if getattr(self, name) is not None]
        given += [] if self.topic in {"", self.name} else ["topic"]
        if self.awakeable_only and given:
            raise ConfigurationError(
                f"task type {self.name}: {given[0]} is for tasks of workers, and awakeable_only says that there "
                "are none: leave one of them out"
            )

    def _check_limits(self) -> None:
        if self.timeout is not None and self.timeout <= timedelta(0):
            raise ConfigurationError(f"task type {self.name}: the timeout must be longer than 0, or None for no limit")
        for name in ("timeout", *_LEAST):
            limit = getattr(self, name)
            if limit is not None and limit > LONGEST_TIMEOUT:
                raise ConfigurationError(
                    f"task type {self.name}: {name} must be at most {LONGEST_TIMEOUT.days} days, or None for no limit"
                )
        for name, least in _LEAST.items():
            limit = getattr(self, name)
            if limit is not None and limit < least:
                raise ConfigurationError(
                    f"task type {self.name}: {name} must be at least {least.total_seconds():g} s, or None"
                )
            if limit is not None and self.timeout is not None and limit > self.timeout:
                raise ConfigurationError(
                    f"task type {self.name}: {name} is longer than the timeout of the whole task, {self.timeout}"
                )


def _convention(name: str, convention: str) -> Convention:
    try:
        return Convention(convention)
    except ValueError:
        raise ConfigurationError(
            f"task type {name}: convention {convention!r} is not known: use one of {', '.join(Convention)}"
        ) from None


def _codec(declared: TypeForm[T], what: str) -> Codec[T]:
    try:
        return Codec(cast("type[T]", declared))
    except (TypeError, NameError) as error:  # a NameError: an annotation that cannot be resolved
        raise ConfigurationError(f"{what} type cannot travel as JSON: {error}") from None
