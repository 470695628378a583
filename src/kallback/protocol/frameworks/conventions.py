"""Conventions of worker frameworks: which headers a task has for them, and how they report that work failed.

kallback's own headers are always there and always understood. A framework that replies by itself knows other ones: it
looks for a reply topic and a correlation id under its own names, copies the correlation id to its reply, and marks an
error in its own way. One row of `TABLE` for each, with its source:

- Spring (spring-kafka, `KafkaHeaders`): replies with `kafka_correlationId` to `kafka_replyTopic`. Which header marks
  an error is the application's choice; the example of the reference manual, for
  `ReplyingKafkaTemplate.setReplyErrorChecker`, is `serverSentAnError`. A `DeadLetterPublishingRecoverer` that is
  pointed at the reply topic sends the request there, with `kafka_dlt-exception-*` headers, or with
  `kafka_dlt-key-exception-*` alone if it was the record's key that could not be read.
- NestJS (`packages/microservices`, `ServerKafka.sendMessage`, `KafkaRequestSerializer.encode`): Spring's names; an
  exception becomes `kafka_nest-err` and a null value; `kafka_nest-is-disposed` marks the last reply. Texts are sent
  without quotes.
- FastStream (`faststream/kafka/parser.py`, `kafka/response.py`, `message/utils.py`): replies with `correlation_id` to
  `reply_to`. A text is sent without quotes, as `content-type: text/plain`. An exception sends no reply, so a failure is
  what the application marks.
- SmallRye, which Quarkus uses (`KafkaRequestReply`, `KafkaRecordHelper.getHeaders`): replies with
  `REPLY_CORRELATION_ID` to `REPLY_TOPIC`. Which header marks an error is the application's choice; the documentation's
  example of a `ReplyFailureHandler` is `REPLY_ERROR`.
- CloudEvents (`kafka-protocol-binding.md`, `extensions/correlation.md`): attributes are headers with the prefix `ce_`
  (binary mode) or members of the value (structured mode). The extension `correlationid` takes the token; failures are
  marked by the extension `kallbackstatus`, or by an event type that the bridge is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from types import MappingProxyType
from typing import Final

import msgspec

from kallback.protocol import headers as names
from kallback.protocol.errors import ConfigurationError
from kallback.protocol.frameworks import given_up_requests


class Convention(StrEnum):
    """A framework of workers, or a format of their messages."""

    KALLBACK = "kallback"
    SPRING = "spring"
    NESTJS = "nestjs"
    FASTSTREAM = "faststream"
    SMALLRYE = "smallrye"
    CLOUDEVENTS = "cloudevents"


class ConventionHeaders(msgspec.Struct, frozen=True):
    """One row of the table.

    Attributes:
        correlation_id: header with the token, on the task and on the result.
        reply_topic: header with the reply topic, on the task; empty: the framework has none.
        constant: further headers of the task, with their values.
        errors: headers that mark a result as failed, whatever their value.
        configurable: what a bridge may be told besides: names of such headers, types of events, or nothing.
    """

    correlation_id: str
    reply_topic: str = ""
    constant: tuple[tuple[str, bytes], ...] = ()
    errors: tuple[str, ...] = ()
    configurable: str = ""


_HEADERS: Final = "error headers"
_EVENTS: Final = "event types"
TABLE: Final[Mapping[Convention, ConventionHeaders]] = MappingProxyType(
    {
        Convention.KALLBACK: ConventionHeaders(names.TOKEN, names.REPLY_TO),
        Convention.NESTJS: ConventionHeaders(
            names.SPRING_CORRELATION_ID, names.SPRING_REPLY_TOPIC, errors=(names.NESTJS_ERROR,)
        ),
        Convention.SPRING: ConventionHeaders(
            names.SPRING_CORRELATION_ID, names.SPRING_REPLY_TOPIC, errors=(names.SPRING_ERROR,), configurable=_HEADERS
        ),
        Convention.SMALLRYE: ConventionHeaders(
            "REPLY_CORRELATION_ID", "REPLY_TOPIC", errors=("REPLY_ERROR",), configurable=_HEADERS
        ),
        Convention.FASTSTREAM: ConventionHeaders("correlation_id", "reply_to", configurable=_HEADERS),
        Convention.CLOUDEVENTS: ConventionHeaders(
            "ce_correlationid", constant=(("ce_specversion", b"1.0"), ("ce_source", b"kallback")), configurable=_EVENTS
        ),
    }
)
"""In the order in which the token is looked for."""

EVENT_ID: Final = "ce_id"
EVENT_TYPE: Final = "ce_type"
EVENT_STATUS: Final = "ce_kallbackstatus"
EVENT_MEDIA_TYPE: Final = b"application/cloudevents"
NESTJS_DISPOSED: Final = "kafka_nest-is-disposed"

_ALWAYS_WRITTEN: Final = frozenset({Convention.KALLBACK, Convention.SPRING, Convention.NESTJS})
"""Their headers are on each task, whatever its convention."""


def task_headers_of(
    convention: Convention, *, token: str, reply_to: str, task_type: str, dispatch: str
) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that a task has for the workers of a framework, besides those that each task has.

    Args:
        convention: of the task type.
        token: of the attempt.
        reply_to: the topic for its result.
        task_type: the name.
        dispatch: identifies the attempt of the task: the same for its duplicates.
    """
    if convention in _ALWAYS_WRITTEN:
        return ()
    row = TABLE[convention]
    found = [*row.constant, (row.correlation_id, token.encode())]
    if row.reply_topic:
        found.append((row.reply_topic, reply_to.encode()))
    if convention is Convention.CLOUDEVENTS:
        found += [(EVENT_ID, dispatch.encode()), (EVENT_TYPE, task_type.encode())]
    return tuple(found)


class Role(Enum):
    """What a header of a result record is read for."""

    TOKEN = auto()
    STATUS = auto()
    MARK = auto()
    """It says something in a framework's way: that the result is an error, or how its value is written."""


class FailureMarks(msgspec.Struct, frozen=True):
    """What marks the results of a task type as failed, besides the status header.

    Attributes:
        detected: the errors of the table's frameworks are recognized.
        headers: further headers that do, unless their value is `false`.
        event_types: types of CloudEvents that do.
    """

    detected: bool = True
    headers: frozenset[str] = frozenset()
    event_types: frozenset[bytes] = frozenset()

    def is_error(self, name: str, content: bytes) -> bool:
        """Return whether a header marks an error."""
        if name in self.headers:
            return content.strip(b' "').lower() != b"false"
        return self.detected and name in _ERRORS


_ERRORS: Final = frozenset(name for row in TABLE.values() for name in row.errors)
_MARKS: Final = (*_ERRORS, NESTJS_DISPOSED, EVENT_TYPE, names.CONTENT_TYPE, names.DEAD_REASON, *given_up_requests.NAMES)
_READ_ROLES: Final[Mapping[str, Role]] = {
    **dict.fromkeys((row.correlation_id for row in TABLE.values()), Role.TOKEN),
    **dict.fromkeys((names.STATUS, EVENT_STATUS), Role.STATUS),
    **dict.fromkeys(_MARKS, Role.MARK),
}


@dataclass(frozen=True, slots=True)
class Conventions:
    """How the failures of each task type are marked. By default those of all frameworks in the table are detected.

    Attributes:
        default: for types without their own.
        by_type: by task type name.
        roles: which headers of a result are read, and for what.
    """

    default: FailureMarks = field(default_factory=FailureMarks)
    by_type: Mapping[str, FailureMarks] = field(default_factory=dict[str, FailureMarks])
    roles: Mapping[str, Role] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Collect the headers that any type asks for."""
        further = frozenset[str]().union(*(it.headers for it in (self.default, *self.by_type.values())))
        object.__setattr__(self, "roles", {**dict.fromkeys(further, Role.MARK), **_READ_ROLES})

    def of(self, task_type: str) -> FailureMarks:
        """Return what marks failures of a task type."""
        return self.by_type.get(task_type, self.default)


DETECTED: Final = Conventions()
"""What a bridge does unless it is told otherwise."""


def read_conventions(texts: Iterable[str]) -> Conventions:
    """Read texts of the form `[TYPE=]CONVENTION[:NAME,...]`; several for one task type add up.

    Names are error headers, for cloudevents event types. `kallback` stands alone: nothing is detected, only the status
    header counts. What a type has no text for is as in the texts without a type.

    Raises:
        ConfigurationError: a text is not of this form, or contradicts another.
    """
    given: dict[str, list[tuple[Convention, tuple[str, ...]]]] = {}
    for text in texts:
        task_type, named, convention = text.rpartition("=")
        if named and not task_type:
            raise ConfigurationError(f"convention {text!r}: write the task type before '=', or no '='")
        given.setdefault(task_type, []).append(_read(convention, text))
    found = {task_type: _combined(task_type, parts) for task_type, parts in given.items()}
    return Conventions(found.pop("", FailureMarks()), found)


def read_convention(text: str) -> tuple[Convention, Conventions]:
    """Read one text of the form `CONVENTION[:NAME,...]`, which is for the workers of a single task type.

    Raises:
        ConfigurationError: the text is not of this form.
    """
    convention, _ = _read(text, text)
    return convention, read_conventions([text])


def _read(text: str, whole: str) -> tuple[Convention, tuple[str, ...]]:
    name, _, listed = text.partition(":")
    values = tuple(value.strip() for value in listed.split(",")) if listed else ()
    try:
        convention = Convention(name)
    except ValueError:
        raise ConfigurationError(f"convention {whole!r} is not known: use one of {', '.join(Convention)}") from None
    configurable = TABLE[convention].configurable
    if values and not configurable:
        raise ConfigurationError(f"convention {whole!r}: {name} takes no names, its errors are always marked alike")
    if not all(values):
        raise ConfigurationError(f"convention {whole!r}: one of the {configurable} is empty")
    if reserved := [value for value in values if configurable == _HEADERS and _READ_ROLES.get(value) in _TAKEN]:
        raise ConfigurationError(f"convention {whole!r}: header {reserved[0]} has another meaning in a result")
    return convention, values


_TAKEN: Final = frozenset({Role.TOKEN, Role.STATUS})


def _combined(task_type: str, parts: list[tuple[Convention, tuple[str, ...]]]) -> FailureMarks:
    conventions = {convention for convention, _ in parts}
    if Convention.KALLBACK in conventions and len(conventions) > 1:
        raise ConfigurationError(
            f"convention kallback of {task_type or 'all task types'} contradicts the others: with it only the header "
            f"{names.STATUS} counts"
        )
    events = (value for it, values in parts if it is Convention.CLOUDEVENTS for value in values)
    headers = (value for it, values in parts if it is not Convention.CLOUDEVENTS for value in values)
    return FailureMarks(
        Convention.KALLBACK not in conventions, frozenset(headers), frozenset(value.encode() for value in events)
    )
