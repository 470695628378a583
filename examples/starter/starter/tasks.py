"""What the service and its workers share: the types of tasks. Everything else may differ between them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from kallback.protocol import RetryPolicy, TaskType


@dataclass(frozen=True)
class Document:
    """What is to be converted."""

    url: str
    pages: int = 5


@dataclass(frozen=True)
class Converted:
    """Where the result is."""

    url: str


convert = TaskType(
    "starter.convert",  # the Kafka topic of the tasks
    request=Document,
    result=Converted,
    timeout=timedelta(hours=1),
    heartbeat_every=timedelta(seconds=5),  # a worker that dies is noticed after three missing ones
    retry=RetryPolicy(attempts=3),
)
