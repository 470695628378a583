"""Arguments that name a task, a task type or a topic: what cannot be one is refused before a server is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from kallback.cli.by_hand_options import TASK_TYPE
from kallback.cli.formatting import within
from kallback.cli.help import argument
from kallback.cli.imports import load_target
from kallback.protocol.tasktypes import is_kafka_name
from kallback.protocol.tokens import is_task_id

_SHOWN: Final = 80
_LONGEST_PATH: Final = 255
_ID: Final = "Task id: 16 characters."
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def task_id_argument() -> Callable[[Decorated], Decorated]:
    """The id of one task."""
    return argument("task_id", metavar="ID", callback=_read_task_id, help=_ID)


def optional_task_id_argument(otherwise: str) -> Callable[[Decorated], Decorated]:
    """The id of one task, or the empty text.

    Args:
        otherwise: what the command does without one.
    """
    help_text = f"{_ID} {otherwise}"
    return argument("task_id", metavar="[ID]", required=False, default="", callback=_read_task_id, help=help_text)


def topic_named(name: str) -> str:
    """Return the topic of a task type that is given as MODULE:NAME, or the name itself.

    Raises:
        click.UsageError: it is no name of a topic.
        ConfigurationError: there is no such task type, or it is a file: the sentence says what to type.
    """
    is_file = name.endswith(".py") and len(name) <= _LONGEST_PATH
    return load_target(name, TASK_TYPE).topic if ":" in name or is_file else checked_topic(name)


def checked_topic(name: str, hint: str = "") -> str:
    """Return a name that Kafka allows.

    Args:
        name: of a topic.
        hint: follows in the sentence if it does not.

    Raises:
        click.UsageError: it does not.
    """
    if is_kafka_name(name):
        return name
    raise click.UsageError(
        f"{within(name, _SHOWN)!r} is no topic name: at most 249 letters, digits, dots, underscores and hyphens, not "
        f"'.' or '..'{hint}"
    )


def read_task_ids(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Check the ids of an option that can be repeated: the callback that click calls."""
    return tuple(_checked_task_id(ctx, param, value) for value in values)


def _read_task_id(ctx: click.Context, param: click.Parameter, value: str) -> str:
    return _checked_task_id(ctx, param, value) if value or param.required else value


def _checked_task_id(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if is_task_id(value):
        return value
    raise click.BadParameter(
        f"{within(value, _SHOWN)!r} is not the id of a task: 16 letters, digits, underscores and hyphens, as "
        "kallback tasks list shows them",
        ctx,
        param,
    )
