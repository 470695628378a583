from dataclasses import dataclass
from datetime import timedelta
from types import NoneType
from typing import Any

import pytest

from kallback.protocol import ConfigurationError, TaskType


@dataclass
class Order:
    """A request."""

    id: str


@dataclass
class Unresolvable:
    """A dataclass with an annotation that names nothing."""

    part: "Nowhere"  # type: ignore[name-defined]  # noqa: F821 - the mistake under test


def test_a_task_type_waits_one_hour_unless_told_otherwise() -> None:
    """To wait for ever, None must be written."""
    assert TaskType("t", Order, int).timeout == timedelta(hours=1)
    assert TaskType("t", Order, int, timeout=None).timeout is None


def test_the_topic_is_the_name_unless_given() -> None:
    """Tasks are published to the topic of the type's name."""
    assert TaskType("a.b", Order, int).topic == "a.b"
    assert TaskType("a.b", Order, int, topic="c").topic == "c"


def test_its_codecs_convert_request_and_result() -> None:
    """The task type is the contract: both directions are typed."""
    kind = TaskType("t", Order, NoneType)
    assert kind.request_codec.decode(kind.request_codec.encode(Order("o-1"))) == Order("o-1")
    assert kind.result_codec.encode(None) == b"null"


def test_task_types_are_values() -> None:
    """Two declarations of the same contract are equal; codecs do not count."""
    assert TaskType("t", Order, int) == TaskType("t", Order, int)
    assert TaskType("t", Order, int) != TaskType("u", Order, int)


@pytest.mark.parametrize("name", ["", " ", "a b", "a:b", "a/b", "ä", "a\n", "t" * 129])
def test_a_name_must_fit_into_a_token(name: str) -> None:
    """Names are 1 to 128 letters, digits, dots, underscores and hyphens."""
    with pytest.raises(ConfigurationError, match="cannot name a task type"):
        TaskType(name, Order, int)


@pytest.mark.parametrize("topic", [".", "..", "a b", "ü", "t" * 250])
def test_a_topic_must_be_one_that_kafka_takes(topic: str) -> None:
    """Kafka's own rules for topic names are checked at declaration."""
    with pytest.raises(ConfigurationError, match="cannot be a Kafka topic"):
        TaskType("t", Order, int, topic=topic)


@pytest.mark.parametrize("timeout", [timedelta(0), timedelta(seconds=-1)])
def test_a_timeout_must_be_longer_than_nothing(timeout: timedelta) -> None:
    """A task that has timed out before it starts is a mistake."""
    with pytest.raises(ConfigurationError, match="None for no end"):
        TaskType("t", Order, int, timeout=timeout)


@pytest.mark.parametrize(("declared", "part"), [(list[int] | set[int], "union"), (Unresolvable, "Nowhere")])
def test_a_type_that_cannot_travel_is_refused_at_declaration(declared: Any, part: str) -> None:
    """The error says which of the two types it is, and what is wrong with it."""
    with pytest.raises(ConfigurationError, match=f"task type t: the result type cannot travel as JSON: .*{part}"):
        TaskType("t", Order, declared)
