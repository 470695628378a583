"""Options of the wrong type, as code without a type checker writes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from kallback.bridge import BridgeOptions
from kallback.gateway import GatewayOptions
from kallback.kafka import ConsumerOptions
from kallback.protocol import ConfigurationError, TaskType
from kallback.settings import Topics
from kallback.web import ServerOptions
from kallback.workers import Worker, WorkerOptions

PREPARE = TaskType("prepare", request=str, result=str)


def serve(**options: Any) -> ServerOptions:
    """Options of a server on some port."""
    return ServerOptions(port=8090, **options)


def register(**options: Any) -> None:
    """Register a function with these options."""

    @Worker("kitchen").task(PREPARE, **options)
    async def prepare(dish: str) -> str:
        return dish


@pytest.mark.parametrize(
    ("make", "option", "value", "words"),
    [
        (WorkerOptions, "reply_topics", "partner.*", r"a set of names, not a text: write {'partner.\*'}"),
        (Topics, "reply_to", "partner*", r"a set of names, not a text: write {'partner\*'}"),
        (WorkerOptions, "reply_topics", [1], "a set of names, not list"),
        (WorkerOptions, "drain_timeout", timedelta(seconds=5), r"a timedelta: write 5 \(seconds\)"),
        (WorkerOptions, "session_timeout", math.nan, "a number, not NaN"),
        (WorkerOptions, "concurrency", "4", "a whole number, not str"),
        (WorkerOptions, "concurrency", 2.5, "a whole number, not float"),
        (WorkerOptions, "deliveries", True, "a whole number, not bool"),
        (WorkerOptions, "expose_tracebacks", "no", "True or False, not str"),
        (ConsumerOptions, "session_timeout", "6", "a number, not str"),
        (BridgeOptions, "concurrency", "4", "a whole number, not str"),
        (BridgeOptions, "park_after", timedelta(minutes=1), r"write 60 \(seconds\)"),
        (BridgeOptions, "allow_bare_awakeables", "false", "True or False, not str"),
        (GatewayOptions, "burst", None, "a whole number, not NoneType"),
        (serve, "request_timeout", "15", "a number, not str"),
        (register, "concurrency", "4", "a whole number, not str"),
        (register, "ordered", "yes", "True or False, not str"),
    ],
)
def test_an_option_of_the_wrong_type_is_refused_where_it_is_written(
    make: Callable[..., Any], option: str, value: object, words: str
) -> None:
    """The sentence names the option and what it takes; a text that stands for a set would allow every topic."""
    with pytest.raises(ConfigurationError, match=f"{option} must be .*{words}"):
        make(**{option: value})


def test_names_in_any_collection_and_whole_seconds_are_taken() -> None:
    """What works is not refused for its type."""
    names: Any = ["partner.*"]
    WorkerOptions(reply_topics=names, drain_timeout=5, session_timeout=None)
    BridgeOptions(park_after=None, late_grace=30)


@pytest.mark.parametrize("group", [None, 3, b"kitchen", ""])
def test_a_worker_has_a_name(group: Any) -> None:
    """What is no text is no name."""
    with pytest.raises(ConfigurationError, match="a worker needs a name"):
        Worker(group)
