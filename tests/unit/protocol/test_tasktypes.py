from dataclasses import dataclass, replace
from datetime import timedelta
from types import NoneType
from typing import Any, Literal, Optional, cast

import pytest

from kallback.protocol import ConfigurationError, Convention, RetryPolicy, TaskType

SECOND = timedelta(seconds=1)


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


def test_its_types_may_be_written_in_brackets_too() -> None:
    """For a type checker that cannot infer them; on every version of Python."""
    assert TaskType[Order, int]("t", Order, int) == TaskType("t", Order, int)


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


def test_results_do_not_go_where_tasks_are() -> None:
    """Workers would read results, and bridges tasks."""
    with pytest.raises(ConfigurationError, match="cannot share the topic prepare"):
        TaskType("prepare", request=str, result=str, results_topic="prepare")


def test_a_convention_may_be_written_as_a_text() -> None:
    """As in the options of a bridge."""
    assert TaskType("t", Order, int, convention=cast("Convention", "smallrye")).convention is Convention.SMALLRYE


def test_an_unknown_convention_is_refused() -> None:
    """Its tasks would have no headers that any worker looks for."""
    with pytest.raises(ConfigurationError, match="'rails' is not known: use one of kallback, spring"):
        TaskType("t", Order, int, convention=cast("Convention", "rails"))


@pytest.mark.parametrize("timeout", [timedelta(0), timedelta(seconds=-1)])
def test_a_timeout_must_be_longer_than_nothing(timeout: timedelta) -> None:
    """A task that has timed out before it starts is a mistake."""
    with pytest.raises(ConfigurationError, match="None for no limit"):
        TaskType("t", Order, int, timeout=timeout)


@pytest.mark.parametrize(("declared", "part"), [(list[int] | set[int], "union"), (Unresolvable, "Nowhere")])
def test_a_type_that_cannot_travel_is_refused_at_declaration(declared: Any, part: str) -> None:
    """The error says which of the two types it is, and what is wrong with it."""
    with pytest.raises(ConfigurationError, match=f"task type t: the result type cannot travel as JSON: .*{part}"):
        TaskType("t", Order, declared)


def test_a_task_type_asks_for_nothing_unless_told() -> None:
    """No limits of attempts, no heartbeats, no retries: whoever needs none of it pays nothing."""
    kind = TaskType("t", Order, int)
    found = (kind.attempt_timeout, kind.start_timeout, kind.heartbeat_every, kind.retry, kind.heartbeat_limit)
    assert found == (None, None, None, None, None)


@pytest.mark.parametrize(
    ("limits", "monitored"),
    [
        ({}, False),
        ({"attempt_timeout": 5 * SECOND, "retry": RetryPolicy()}, False),
        ({"start_timeout": SECOND}, True),
        ({"heartbeat_every": SECOND}, True),
        ({"start_timeout": SECOND, "heartbeat_every": SECOND}, True),
    ],
)
def test_start_timeouts_and_heartbeats_need_a_monitor(limits: dict[str, Any], monitored: bool) -> None:  # noqa: FBT001 - a table
    """An attempt's time-out and retries do not: the handler's own timer does."""
    assert TaskType("t", Order, int, **limits).monitored is monitored


def test_three_missing_heartbeats_are_a_lost_attempt() -> None:
    """One may be late, one may be lost with a broker."""
    assert TaskType("t", Order, int, heartbeat_every=10 * SECOND).heartbeat_limit == 30 * SECOND


LEAST = {"attempt_timeout": 1, "start_timeout": 100, "heartbeat_every": 100}


def with_limit(name: str, limit: timedelta, **others: Any) -> TaskType[Order, int]:
    """A task type with one limit."""
    limits: dict[str, Any] = {name: limit}
    return TaskType("t", Order, int, **limits, **others)


@pytest.mark.parametrize("name", LEAST)
@pytest.mark.parametrize("milliseconds", [-1000, 0, 0.5, None])
def test_a_limit_has_a_least(name: str, milliseconds: float | None) -> None:
    """What nobody can keep is a mistake; the sentence names the limit and its least."""
    least = timedelta(milliseconds=LEAST[name])
    short = least - timedelta(microseconds=1) if milliseconds is None else timedelta(milliseconds=milliseconds)
    with_limit(name, least)
    with pytest.raises(ConfigurationError, match=f"{name} must be at least {least.total_seconds():g} s, or None"):
        with_limit(name, short)


@pytest.mark.parametrize("name", LEAST)
def test_a_limit_is_not_longer_than_the_task(name: str) -> None:
    """It could never be reached; as long as the task is fine, and so is any for a task without an end."""
    with_limit(name, SECOND, timeout=SECOND)
    with_limit(name, timedelta(days=9), timeout=None)
    with pytest.raises(ConfigurationError, match=f"{name} is longer than the timeout of the whole task, 0:00:01"):
        with_limit(name, SECOND + timedelta(microseconds=1), timeout=SECOND)


def test_limits_and_retries_belong_to_the_contract() -> None:
    """Task types with different ones differ, and all can be keys of a dict."""
    kinds = [TaskType("t", Order, int), *(with_limit(name, SECOND) for name in LEAST)]
    kinds += [TaskType("t", Order, int, retry=RetryPolicy()), TaskType("t", Order, int, retry=RetryPolicy(attempts=2))]
    assert len({*kinds, *kinds}) == 6


@pytest.mark.parametrize(
    ("declared", "value", "sent"),
    [
        (int | None, None, b"null"),
        (Optional[int], 3, b"3"),  # noqa: UP045 - as older code writes it
        (Literal["hot", "cold"], "hot", b'"hot"'),
        (None, None, b"null"),
    ],
)
def test_a_type_need_be_no_class(declared: Any, value: object, sent: bytes) -> None:
    """Unions, literals and None are types of requests and results, too."""
    task_type: TaskType[Any, Any] = TaskType("t", request=declared, result=declared)
    assert task_type.request_codec.encode(value) == sent
    assert task_type.result_codec.decode(sent) == value


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"timeout": 5}, r"timeout must be a timedelta: write timedelta\(seconds=5\)"),
        ({"timeout": timedelta.max}, "timeout must be at most 36500 days, or None for no limit"),
        ({"timeout": None, "heartbeat_every": timedelta.max}, "heartbeat_every must be at most 36500 days"),
        ({"attempt_timeout": 0.5}, r"attempt_timeout must be a timedelta: write timedelta\(seconds=0.5\)"),
        ({"heartbeat_every": "30 s"}, "heartbeat_every must be a timedelta"),
        ({"retry": 3}, "retry must be a RetryPolicy or None"),
        ({"retry": RetryPolicy}, "retry must be a RetryPolicy or None"),
        ({"topic": 7}, "topic must be a str"),
    ],
)
def test_a_member_of_the_wrong_type_is_refused_at_declaration(members: dict[str, Any], sentence: str) -> None:
    """In a handler it would be an error that Restate retries without end."""
    with pytest.raises(ConfigurationError, match=sentence):
        TaskType("t", str, str, **members)


def test_a_name_must_be_a_text() -> None:
    """The same."""
    name: Any = 7
    with pytest.raises(ConfigurationError, match="name must be a str"):
        TaskType(name, str, str)


def test_a_type_of_awakeables_can_be_replaced() -> None:
    """Its name is its topic, which nothing uses."""
    approve = TaskType("approve", None, bool, awakeable_only=True)
    assert replace(approve, timeout=None).awakeable_only


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ({"topic": "other"}, "topic"),
        ({"retry": RetryPolicy(attempts=2)}, "retry"),
        ({"heartbeat_every": SECOND}, "heartbeat_every"),
        ({"start_timeout": SECOND}, "start_timeout"),
        ({"attempt_timeout": SECOND}, "attempt_timeout"),
    ],
)
def test_a_type_of_awakeables_has_nothing_that_is_for_workers(option: dict[str, Any], name: str) -> None:
    """It would do nothing."""
    with pytest.raises(ConfigurationError, match=name):
        TaskType("approve", None, bool, awakeable_only=True, **option)
