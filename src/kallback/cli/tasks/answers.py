"""`kallback tasks complete | fail | retry | cancel`: by hand, through Kafka, in an operator's name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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
from kallback.cli.help import TextCommand, option, with_options
from kallback.cli.imports import load_target
from kallback.cli.names import optional_task_id_argument, task_id_argument
from kallback.cli.tasks.actions import CANCEL, RETRY, TaskAction, complete_with, fail_with
from kallback.cli.tasks.factories import operations_factories
from kallback.cli.tasks.lookup import find_to_answer
from kallback.cli.tasks.many import ManyTasks, for_many
from kallback.kafka import Position
from kallback.operations import ByHand
from kallback.protocol import Problem, TaskHeaders
from kallback.protocol.by_hand import Operator
from kallback.settings import Settings

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _of_a_task(run: Decorated) -> Decorated:
    """Add the argument and the options of what is done to one task."""
    options: tuple[Callable[[Decorated], Decorated], ...] = (
        task_id_argument(),
        by_option,
        why_option,
    )
    return with_options(run, options)


def _of_tasks(run: Decorated) -> Decorated:
    """Add the argument and the options of what is done to one task, or to many."""
    options: tuple[Callable[[Decorated], Decorated], ...] = (
        optional_task_id_argument("None: with --all."),
        by_option,
        why_option,
        for_many,
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

    action = complete_with(lambda by_hand, _, headers: by_hand.complete(headers, result, declared))
    _apply(action, task_id, operator_of(by, why))


@click.command(cls=TextCommand)
@_of_tasks
@error_type_option
@error_status_option
@option("--detail", metavar="TEXT", help="One sentence for people. Default: who failed it, and why.")
@retryable_option
def fail(
    task_id: str,
    *,
    kind: str,
    status: int,
    detail: str | None,
    retryable: bool | None,
    by: str | None,
    why: str,
    **options: Any,
) -> None:
    """Fail the current attempt of a pending task by hand, or of many.

    The retry policy of the task type decides whether another attempt follows; --not-retryable fails the task for good.

    The exit codes, and what --all does, are those of `kallback tasks cancel`.

    For example:

        kallback tasks fail q8Tzl0b2R6m1cV9x --error-type OutOfStock --status 422 --not-retryable --why "no basil today"
        kallback tasks fail --all --type restaurant.prepare --error-type OvenDown --why "power cut" --dry-run
    """
    if task_id and options["types"]:
        raise click.UsageError("--type chooses tasks, with --all: give the type of the error as --error-type.")
    operator = operator_of(by, why)
    said = operator.sentence("failed") if detail is None else detail
    problem = Problem(kind, status, said, retryable=retryable)
    _apply(fail_with(problem), task_id, operator, options)


@click.command(cls=TextCommand)
@_of_tasks
def retry(task_id: str, *, by: str | None, why: str, **options: Any) -> None:
    """Have the next attempt of a pending task sent at once, or of many.

    The current attempt is given up and does not count as failed. The next one continues with its last details.
    Only for types with a retry policy or with heartbeats; not for awakeables, which have one attempt.

    The exit codes, and what --all does, are those of `kallback tasks cancel`.

    For example:

        kallback tasks retry q8Tzl0b2R6m1cV9x --why "its worker hangs"
        kallback tasks retry --all --type video.render --state running --older-than 2h --why "the disk was full"
    """
    _apply(RETRY, task_id, operator_of(by, why), options)


@click.command(cls=TextCommand)
@_of_tasks
def cancel(task_id: str, *, by: str | None, why: str, **options: Any) -> None:
    """Cancel a pending task, or many: the worker stops, the handler fails.

    The error has type urn:kallback:cancelled-by-hand and status 410, and is not retried. Needs KALLBACK_KEYS, which
    prove the cancel to workers. An awakeable has no worker to tell; its handler fails.

    With --all, the tasks are listed first, and their number is to be confirmed. Each is looked at again when its turn
    comes: nothing is sent to one that has ended, or that the filters do not choose any more. Each that cannot be
    cancelled is named with the reason, and the others are cancelled nevertheless.

    Exit codes: 0 if Kafka has all that was to be sent, 1 if not, 2 if a setting or an argument must change.

    For example:

        kallback tasks cancel q8Tzl0b2R6m1cV9x --why "the customer left"
        kallback tasks cancel --all --type restaurant.prepare --older-than 2h --dry-run
    """
    _apply(CANCEL, task_id, operator_of(by, why), options)


def _apply(action: TaskAction, task_id: str, operator: Operator, options: dict[str, Any] | None = None) -> None:
    """Do something to one task, and say where the result is; or to many, if the command has options for them."""
    many = None if options is None else ManyTasks.of(task_id, options)
    if many is not None:
        many.apply(action, operator)
        return
    settings = Settings.from_env()
    factories = operations_factories(settings)

    async def sent() -> tuple[TaskHeaders, Position]:
        task, headers = await find_to_answer(factories, settings, task_id, action.check)
        async with factories.producer() as producer:
            return headers, await action.send(ByHand(producer, settings, operator), task, headers)

    headers, at = asyncio.run(sent())
    click.echo(
        f"sent as {at}: {plain(headers.task_type)}, task {task_id}, "
        f"attempt {headers.attempt}. `kallback outcomes tail --task {task_id}` shows the outcome."
    )
