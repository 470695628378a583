"""`kallback tasks complete | fail | retry`: answers by hand, through Kafka, in an operator's name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, BinaryIO, TypeVar

import click

from kallback.cli.by_hand_options import (
    TASK_TYPE,
    by_option,
    error_status_option,
    error_type_option,
    operator_of,
    result_file_option,
    retryable_option,
    task_type_option,
    why_option,
)
from kallback.cli.formatting import plain
from kallback.cli.help import TextCommand, argument, option, with_options
from kallback.cli.imports import load_target
from kallback.cli.tasks.factories import operations_factories
from kallback.cli.tasks.lookup import find_to_answer
from kallback.kafka import Position
from kallback.operations import ByHand, PendingTask, check_repeatable
from kallback.protocol import Problem, TaskHeaders
from kallback.protocol.by_hand import Operator
from kallback.settings import Settings

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Answer = Callable[[ByHand, PendingTask, TaskHeaders], Awaitable[Position]]


def _of_a_task(run: Decorated) -> Decorated:
    """Add the argument and the options that all commands have."""
    options: tuple[Callable[[Decorated], Decorated], ...] = (
        argument("task_id", metavar="ID", help="Task id: 16 characters."),
        by_option,
        why_option,
    )
    return with_options(run, options)


@click.command(cls=TextCommand)
@_of_a_task
@option("--value", metavar="JSON", help="The result, as JSON. Default: null.")
@result_file_option
@task_type_option
def complete(
    task_id: str, *, value: str | None, file: BinaryIO | None, task_type: str | None, by: str | None, why: str
) -> None:
    """Complete a pending task by hand.

    Publishes a result record, as a worker does. The bridge judges it like any other, and the outcome record names you.
    An awakeable (state unanswered) needs KALLBACK_KEYS as its service has it: Kafka has no record with its token.

    Exit codes: 0 if Kafka has the result, 1 if not, 2 if a setting or an argument must change.

    For example:

        kallback tasks complete q8Tzl0b2R6m1cV9x --value '{"minutes": 12}' --type shared:prepare --why "by phone"
    """
    if value is not None and file is not None:
        raise click.UsageError("Give one result, with --value or --file.")
    result = file.read() if file is not None else (value or "null").encode()
    declared = None if task_type is None else load_target(task_type, TASK_TYPE)

    publish(task_id, operator_of(by, why), lambda by_hand, _, headers: by_hand.complete(headers, result, declared))


@click.command(cls=TextCommand)
@_of_a_task
@error_type_option
@error_status_option
@option("--detail", metavar="TEXT", help="One sentence for people. Default: who failed it, and why.")
@retryable_option
def fail(
    task_id: str, *, kind: str, status: int, detail: str | None, retryable: bool | None, by: str | None, why: str
) -> None:
    """Fail the current attempt of a pending task by hand.

    The retry policy of the task type decides whether another attempt follows; --not-retryable fails the task for good.

    The exit codes are those of `kallback tasks complete`.

    For example:

        kallback tasks fail q8Tzl0b2R6m1cV9x --type OutOfStock --status 422 --not-retryable --why "no basil today"
    """
    operator = operator_of(by, why)
    said = operator.sentence("failed") if detail is None else detail
    problem = Problem(kind, status, said, retryable=retryable)
    publish(task_id, operator, lambda by_hand, _, headers: by_hand.fail(headers, problem))


@click.command(cls=TextCommand)
@_of_a_task
def retry(task_id: str, *, by: str | None, why: str) -> None:
    """Have the next attempt of a pending task sent at once.

    The current attempt is given up and does not count as failed. The next one continues with its last details.
    Only for types with a retry policy or with heartbeats; not for awakeables, which have one attempt.

    The exit codes are those of `kallback tasks complete`.

    For example:

        kallback tasks retry q8Tzl0b2R6m1cV9x --why "its worker hangs"
    """
    publish(task_id, operator_of(by, why), _retry, check_repeatable)


async def _retry(by_hand: ByHand, task: PendingTask, headers: TaskHeaders) -> Position:
    """Continue with the last heartbeat's details, which are newer than those that the record has."""
    return await by_hand.retry(headers, b"" if task.progress is None else task.progress.details)


def publish(task_id: str, operator: Operator, answer: Answer, *checks: Callable[[PendingTask], None]) -> None:
    """Answer a pending task, and say where the answer is.

    Args:
        task_id: of the task.
        operator: who does it.
        answer: sends it.
        checks: each raises for a task to which this cannot be done.
    """
    settings = Settings.from_env()
    factories = operations_factories(settings)

    async def answered() -> tuple[TaskHeaders, Position]:
        task, headers = await find_to_answer(factories, settings, task_id, *checks)
        async with factories.producer() as producer:
            return headers, await answer(ByHand(producer, settings, operator), task, headers)

    headers, at = asyncio.run(answered())
    click.echo(
        f"sent as {at}: {plain(headers.task_type)}, task {task_id}, "
        f"attempt {headers.attempt}. `kallback outcomes tail --task {task_id}` shows the outcome."
    )
