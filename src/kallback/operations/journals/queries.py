"""The queries for what journals say of tasks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from kallback.protocol.tokens import is_task_id

_VALUE_BYTES: Final = 4 * 1024 * 1024
"""Of a publishing step's value: room for 70,000 tasks."""
_BEGINNING: Final = ",".join(map(str, b'{"sent":'))
"""Of values of steps that publish, that create an awakeable for a token, and that cancel several tasks, as
Restate writes bytes in JSON.

A second condition on the values would make the query slower by some percent.
"""
_IDENTITIES: Final = ",".join(map(str, b'{"task_ids":'))
"""Of values of steps that create several tasks."""
_MANY_COMPLETIONS: Final = 64
_HEAD_CHARACTERS: Final = 600
"""Of a result, as Restate writes bytes in JSON: enough for all that comes before the value."""
_ID: Final = re.compile(r"inv_[A-Za-z0-9]{1,64}", re.ASCII)


def steps_query(ids: Sequence[str]) -> str:
    """The query for publishing steps, cancels, pauses, signals, and values that begin as kallback's do."""
    return (
        "SELECT id, index, name, entry_lite_json, CASE WHEN entry_type = 'Notification: Run' THEN entry_json END AS "  # noqa: S608 - `quoted` lets ids through only
        f"entry_json FROM sys_journal WHERE id IN ({quoted(ids)}) AND ((entry_type = 'Command: Run' AND (name LIKE "
        "'publish %' OR name LIKE 'cancel %')) OR (entry_type = 'Command: Sleep' AND name LIKE 'back off %') OR "
        "entry_type = 'Notification: Signal' OR (entry_type = "
        f"'Notification: Run' AND raw_length <= {_VALUE_BYTES} AND entry_json LIKE '%\"Success\":[{_BEGINNING},%'))"
    )


def values_query(steps: Sequence[tuple[str, int]]) -> str:
    """The query for the values of steps; it may return those of some other steps."""
    ids = list(dict.fromkeys(invocation for invocation, _ in steps))
    completions = sorted({completion for _, completion in steps})
    wanted = " OR ".join(f"entry_lite_json LIKE '%\"CompletionId\":{number}}}%'" for number in completions)
    limit = f" AND ({wanted})" if len(completions) <= _MANY_COMPLETIONS else ""
    return (
        f"SELECT id, entry_json FROM sys_journal WHERE id IN ({quoted(ids)}) "  # noqa: S608 - as above
        f"AND entry_type = 'Notification: Run' AND raw_length <= {_VALUE_BYTES}{limit}"
    )


def heads_query(ids: Sequence[str]) -> str:
    """The query for the beginnings of results: they tell failures."""
    return (
        f"SELECT id, substr(entry_json, 1, {_HEAD_CHARACTERS}) AS head FROM sys_journal WHERE id IN ({quoted(ids)}) "  # noqa: S608 - as above
        "AND entry_type = 'Notification: Signal'"
    )


def creations_query(ids: Sequence[str]) -> str:
    """The query for steps that create one task, for timers of deadlines, and for timers that fired."""
    return (
        f"SELECT id, index, name, entry_lite_json FROM sys_journal WHERE id IN ({quoted(ids)}) AND ((entry_type = "  # noqa: S608 - as above
        "'Command: Run' AND name LIKE 'create task %') OR (entry_type = 'Command: Sleep' AND name LIKE 'deadline %') "
        "OR entry_type = 'Notification: Sleep')"
    )


def holder_queries(task_id: str) -> tuple[str, str]:
    """The queries for the invocation that has a task in its journal, ended or not; the second one costs more.

    The first one looks for the name of the step that publishes the task, the second one for its id in what kallback's
    steps return: of tasks that are published together, and of awakeables.

    Raises:
        ValueError: it is not the id of a task.
    """
    if not is_task_id(task_id):
        raise ValueError(f"{task_id!r} is not the id of a task")
    found = ",".join(map(str, f'"{task_id}"'.encode()))
    values = " OR ".join(f"entry_json LIKE '%\"Success\":[{each},%{found}%'" for each in (_BEGINNING, _IDENTITIES))
    by_name = f"entry_type = 'Command: Run' AND name LIKE 'publish % {task_id}%'"
    by_value = f"entry_type = 'Notification: Run' AND raw_length <= {_VALUE_BYTES} AND ({values})"
    beginning = "SELECT DISTINCT id FROM sys_journal WHERE"
    return f"{beginning} {by_name} LIMIT 1", f"{beginning} {by_value} LIMIT 1"


def waits_for_kafka_query(invocation_id: str) -> str:
    """The query for the waits of one invocation before it tries again to publish."""
    return (
        f"SELECT id, index, name, entry_lite_json FROM sys_journal WHERE id IN ({quoted([invocation_id])}) AND "  # noqa: S608 - `quoted` lets ids through only
        "entry_type = 'Command: Sleep' AND name LIKE 'wait for Kafka, then publish %'"
    )


def quoted(ids: Iterable[str]) -> str:
    """Invocation ids as a list in SQL.

    Raises:
        ValueError: one is not an invocation id.
    """
    texts = list(ids)
    for text in texts:
        if _ID.fullmatch(text) is None:
            raise ValueError(f"{text!r} is not an invocation id")
    return ", ".join(f"'{text}'" for text in texts)
