"""The options that choose pending tasks: of the list, and of what is done to many tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from kallback.cli.help import option_of, with_options
from kallback.cli.times import read_span
from kallback.operations import TaskFilter, TaskState

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
_select = option_of("Filters")


def filtering(run: Decorated) -> Decorated:
    """Add the filters to a command; `filter_of` reads what they give."""
    options: tuple[Callable[[Decorated], Decorated], ...] = (
        _select("--type", "types", multiple=True, metavar="TYPE", help="Only this task type. Can be repeated."),
        _select(
            "--state",
            "states",
            multiple=True,
            type=click.Choice([each.value for each in TaskState]),
            help="Only tasks in this state. Can be repeated.",
        ),
        _select("--not-started", is_flag=True, help="Only tasks that no worker has begun; types with heartbeats tell."),
        _select(
            "--handler",
            "handlers",
            multiple=True,
            metavar="NAME",
            help="Only this Service, or Service/handler. Can be repeated.",
        ),
        _select(
            "--older-than", callback=read_span, metavar="TIME", help="Only tasks that are older: 30s, 15m, 2h or 3d."
        ),
        _select(
            "--deadline-within",
            callback=read_span,
            metavar="TIME",
            help="Only tasks whose deadline comes within this time.",
        ),
    )
    return with_options(run, options)


def filter_of(options: Mapping[str, Any], now_ms: int) -> TaskFilter:
    """The filter that the options name, at this time (epoch milliseconds)."""
    states = {TaskState(name) for name in options["states"]}
    if options["not_started"]:
        states.add(TaskState.NOT_STARTED)
    older, within = options["older_than"], options["deadline_within"]
    return TaskFilter(
        types=frozenset(options["types"]),
        states=frozenset(states),
        handlers=frozenset(options["handlers"]),
        created_before_ms=None if older is None else now_ms - older,
        deadline_before_ms=None if within is None else now_ms + within,
    )
