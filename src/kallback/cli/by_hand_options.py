"""What the commands share that complete or fail a task by hand, with a token or with a task id."""

from __future__ import annotations

import getpass
from typing import Final

import click

from kallback.cli.help import option
from kallback.cli.imports import TargetKind
from kallback.protocol import TaskType
from kallback.protocol.by_hand import Operator
from kallback.protocol.problems import DEFAULT_STATUS, DEFAULT_TYPE

TASK_TYPE: Final = TargetKind(
    accepts=lambda each: isinstance(each, TaskType), what="a kallback.protocol.TaskType", example="shared:prepare"
)


def _not_empty(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if value.strip():
        return value
    raise click.BadParameter("it is empty: name the type of the error, or leave the option out", ctx, param)


by_option = option("--by", metavar="NAME", help="Who does it, for the record. Default: the user of this machine.")
why_option = option("--why", default="", metavar="TEXT", help="Why, in one sentence, for the record.")
result_file_option = option(
    "--file", "file", type=click.File("rb"), metavar="FILE", help="File with the result, as JSON."
)
task_type_option = option(
    "--type",
    "task_type",
    metavar="MODULE:TYPE",
    help="Check the result before it is sent: Python name of the task type, for example shared:prepare.",
)
error_type_option = option(
    "--error-type",
    "kind",
    default=DEFAULT_TYPE,
    show_default=True,
    metavar="NAME",
    callback=_not_empty,
    help="Type of the error. Retry policies match it.",
)
error_status_option = option(
    "--status",
    default=DEFAULT_STATUS,
    show_default=True,
    type=click.IntRange(400, 599),
    metavar="CODE",
    help="Code of the terminal error that the handler gets.",
)
retryable_option = option("--retryable/--not-retryable", default=None, help="Whether another attempt can succeed.")


def operator_of(by: str | None, why: str) -> Operator:
    """Return who does something, from `--by` and `--why`.

    Raises:
        click.UsageError: a text cannot be used, or this user has no name.
    """
    name = user_name() if by is None else by
    if name is None:
        raise click.UsageError("This user has no name: say who does it with --by.")
    try:
        return Operator(name, why)
    except ValueError as error:
        raise click.UsageError(f"--by or --why: {error}") from None


def user_name() -> str | None:
    """Return the user of this machine; None for a container's user without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None
