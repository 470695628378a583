"""What the commands share that complete or fail a task by hand, with a token or with a task id."""

from __future__ import annotations

from typing import Final

import click

from kallback.cli.help import option
from kallback.cli.imports import TargetKind
from kallback.protocol import TaskType
from kallback.protocol.problems import DEFAULT_STATUS, DEFAULT_TYPE

TASK_TYPE: Final = TargetKind(
    accepts=lambda each: isinstance(each, TaskType), what="a kallback.protocol.TaskType", example="shared:prepare"
)

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
    "--type",
    "kind",
    default=DEFAULT_TYPE,
    show_default=True,
    metavar="NAME",
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
