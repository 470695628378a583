"""Requests that a framework gave up: it sends them to a topic of dead letters, and headers say why.

A worker whose topic of dead letters is the results topic fails in this way; the value is the request. One row of
`TABLE` for each framework, with its source:

- Spring (`DeadLetterPublishingRecoverer`): `kafka_dlt-*`, or `kafka_dlt-key-exception-*` alone if the key could
  not be read. Applications leave some of them out (`excludeHeader`); what its `ErrorHandlingDeserializer` adds
  (`springDeserializerException*`, a Java object) stays if they ask for it (`setRetainExceptionHeader`).
- Spring Cloud Stream (`KafkaMessageChannelBinder.handleRecordForDlq`): `x-exception-*`.
- SmallRye (`KafkaDeadLetterQueue`): `dead-letter-*`.
- Kafka Connect (`DeadLetterQueueReporter`): `__connect.errors.*`, if a sink connector has
  `errors.deadletterqueue.context.headers.enable`.
- MassTransit (`MessageHeaders`): `MT-Fault-*`.

Names that retries leave behind are not among them (`kafka_exception-*` and `kafka_dlt-original-consumer-group` of
Spring's `@RetryableTopic`, `delayed-retry-*` of SmallRye): a worker that succeeds in the end may copy them to its
result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from kallback.protocol.problems import UNEXPECTED_ERROR, Problem
from kallback.protocol.retries import EXCEPTION

NO_WORDS: Final = "the worker reported an error without saying why"
LONGEST_DETAIL: Final = 4096
"""Characters: a framework may put a stack trace there."""


class GivenUpHeaders(msgspec.Struct, frozen=True):
    """One row of the table; each of these headers alone says that the record is a request that was given up.

    Attributes:
        messages: what the exception said; the first that is there counts.
        classes: names of exceptions, the cause first.
        others: further ones, whose values say nothing to people.
    """

    messages: tuple[str, ...]
    classes: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return *self.messages, *self.classes, *self.others


TABLE: Final = (
    GivenUpHeaders(
        ("kafka_dlt-exception-message", "kafka_dlt-key-exception-message"),
        ("kafka_dlt-exception-cause-fqcn", "kafka_dlt-exception-fqcn", "kafka_dlt-key-exception-fqcn"),
        ("kafka_dlt-original-topic", "springDeserializerExceptionValue", "springDeserializerExceptionKey"),
    ),
    GivenUpHeaders(("x-exception-message",), ("x-exception-fqcn",)),
    GivenUpHeaders(("dead-letter-reason",), ("dead-letter-cause-class-name", "dead-letter-exception-class-name")),
    GivenUpHeaders(
        ("__connect.errors.exception.message",), ("__connect.errors.exception.class.name",), ("__connect.errors.topic",)
    ),
    GivenUpHeaders(("MT-Fault-Message",), ("MT-Fault-ExceptionType",)),
)
NAMES: Final = tuple(name for row in TABLE for name in row.names)


def problem_of_given_up_request(found: Mapping[str, bytes]) -> bytes | None:
    """Return the problem object of a request that a framework gave up; None if the headers do not say so.

    Args:
        found: headers of a record, by name.
    """
    for row in TABLE:
        if any(name in found for name in row.names):
            return _problem(found, row)
    return None


def _problem(found: Mapping[str, bytes], row: GivenUpHeaders) -> bytes:
    said = next((found[name] for name in row.messages if found.get(name)), b"")
    detail = said.decode("utf-8", "replace")[:LONGEST_DETAIL] or NO_WORDS
    classes = [found[name].decode("utf-8", "replace") for name in row.classes if found.get(name)]
    return Problem(UNEXPECTED_ERROR, detail=detail, extensions={EXCEPTION: classes} if classes else {}).encode()
