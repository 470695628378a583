"""`kallback tasks show`: all that is known of one pending task, from Restate's journals and Kafka."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import click
import orjson

from kallback.cli.activity import activity
from kallback.cli.formatting import printable_json
from kallback.cli.help import TextCommand, option
from kallback.cli.names import task_id_argument
from kallback.cli.tables import print_facts
from kallback.cli.tasks.factories import OperationsFactories, operations_factories
from kallback.cli.tasks.lookup import find_task
from kallback.cli.tasks.rows import (
    facts_of,
    invocation_facts,
    invocation_members,
    members_of,
    outcome_facts,
    record_facts,
    record_members,
)
from kallback.operations import (
    InvocationStatus,
    NoTaskRecordError,
    PendingTask,
    RowSource,
    TaskRecord,
    follow_outcomes,
    read_invocation,
    read_task_record,
)
from kallback.protocol import AccessDeniedError, MissingTopicError, OutcomeRecord
from kallback.settings import Settings

_MOST_OUTCOMES: Final = 20


@dataclass(frozen=True, slots=True)
class _Shown:
    """All that is known of a task.

    Attributes:
        record: its record, or why there is none; None for an awakeable, which has none.
        outcomes: of its results so far, as far as they were read.
    """

    task: PendingTask
    invocation: InvocationStatus | None
    record: TaskRecord | str | None
    outcomes: Sequence[OutcomeRecord] | None


@click.command(cls=TextCommand)
@task_id_argument()
@option("--outcomes", "with_outcomes", is_flag=True, help="Also read the outcomes topic: its results, and by whom.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object; times in epoch milliseconds.")
def show(task_id: str, *, with_outcomes: bool, as_json: bool) -> None:
    """Show a pending task: request, heartbeats, deadline, invocation.

    The token is shortened: neither the awakeable id nor the signature is shown.

    With --outcomes the outcomes topic is read from the task's creation on, which takes time if there are many. A task
    is still pending after an outcome if its handler sends another attempt, or has not taken the result yet.

    Exit codes: 0 if a handler waits for the task, 1 if none does or a server does not answer, 2 if a setting must
    change.

    For example:

        kallback tasks show q8Tzl0b2R6m1cV9x
    """
    settings = Settings.from_env()
    found = asyncio.run(_look_up(operations_factories(settings), settings, task_id, with_outcomes=with_outcomes))
    if as_json:
        click.echo(printable_json(orjson.dumps(_members(found))))
    else:
        print_facts([*facts_of(found.task, int(time.time() * 1000)), *_more_facts(found)])


async def _look_up(factories: OperationsFactories, settings: Settings, task_id: str, *, with_outcomes: bool) -> _Shown:
    async with factories.introspection() as introspection:
        task, invocation = await _find(introspection, settings, task_id)
    record, topic = await _record(factories, task), settings.topics.outcomes
    return _Shown(task, invocation, record, await _outcomes(factories, topic, task) if with_outcomes else None)


async def _record(factories: OperationsFactories, task: PendingTask) -> TaskRecord | str | None:
    if task.position is None:
        return None
    try:
        with activity("reading the task's record"):
            return await read_task_record(factories.find, task)
    except (NoTaskRecordError, MissingTopicError, AccessDeniedError) as error:
        return str(error)


async def _outcomes(factories: OperationsFactories, topic: str, task: PendingTask) -> list[OutcomeRecord]:
    """Return the last outcomes of a task, in their order."""
    found = deque[OutcomeRecord](maxlen=_MOST_OUTCOMES)
    reading = follow_outcomes(factories.reader(topic, task.created_ms), to_the_end=True)
    with activity(f"reading {topic}"):
        async with aclosing(reading) as batches:
            async for batch in batches:
                found.extend(outcome for outcome in batch if outcome.task_id == task.task_id)
    return list(found)


async def _find(
    introspection: RowSource, settings: Settings, task_id: str
) -> tuple[PendingTask, InvocationStatus | None]:
    task = await find_task(introspection, settings, task_id)
    return task, await read_invocation(introspection, task.invocation.id)


def _members(found: _Shown) -> dict[str, Any]:
    members = members_of(found.task)
    if found.invocation is not None:
        members |= invocation_members(found.invocation)
    if found.outcomes is not None:
        members["outcomes"] = [orjson.Fragment(each.encode()) for each in found.outcomes]
    if found.record is None:
        return members
    return members | ({"record": found.record} if isinstance(found.record, str) else record_members(found.record))


def _more_facts(found: _Shown) -> list[tuple[str, str]]:
    facts = [] if found.invocation is None else list(invocation_facts(found.invocation, found.task.signal))
    facts += [] if found.outcomes is None else list(outcome_facts(found.outcomes))
    if found.record is None:
        return facts
    return facts + ([("", found.record)] if isinstance(found.record, str) else list(record_facts(found.record)))
