"""Rows as restate-server 1.7.12 returns them, for tests without a server."""

from __future__ import annotations

import json
from typing import Any

from kallback.operations.journals.entries import HeadRow, StepRow, ValueRow
from kallback.operations.journals.journal import Journal
from kallback.operations.journals.rows import journals_of

INVOCATION = "inv_14CXtoDXhX8f0rLkALUbiZNvC3gsdBkp9N"
SOUP = "AAECAwQFBgcICQoL"
CAKE = "BBECAwQFBgcICQoL"
DEADLINE_MS = 1_000_000


def command(name: str, completion: int, invocation: str = INVOCATION) -> StepRow:
    """A step that a handler began."""
    run = {"Command": {"Run": {"completion_id": completion, "name": name}}}
    return StepRow(invocation, completion, json.dumps(run, separators=(",", ":")), name)


def back_off(attempt: int, place: int, until_ms: int, task: str | None = None) -> StepRow:
    """A pause before the next attempt; in journals of earlier versions it does not name its task."""
    name = "back off cook" + ("" if task is None else f" {task}") + ("" if attempt == 1 else f" attempt {attempt}")
    sleep = {"Command": {"Sleep": {"wake_up_time": until_ms, "completion_id": place, "name": name}}}
    return StepRow(INVOCATION, place, json.dumps(sleep, separators=(",", ":")), name)


def head(number: int, task: str, status: str = "failed", attempt: int = 1, length: int = 600) -> HeadRow:
    """The beginning of a result."""
    envelope = f'{{"kallback":1,"task":"{task}","attempt":{attempt},"status":"{status}","error":{{"type":"Burnt"}}}}'
    came = {"Notification": {"Signal": {"id": {"Index": number}, "result": {"Success": list(envelope.encode())}}}}
    return HeadRow(INVOCATION, json.dumps(came, separators=(",", ":"))[:length])


def signal(number: int, invocation: str = INVOCATION, place: int = 99) -> StepRow:
    """An awakeable that was completed."""
    came = {"Notification": {"ty": "Signal", "id": {"SignalIndex": number}, "result": "Success"}}
    return StepRow(invocation, place, json.dumps(came, separators=(",", ":")))


def value(completion: int, content: bytes, invocation: str = INVOCATION) -> ValueRow:
    """The value of a step."""
    run = {"completion_id": completion, "result": {"Success": list(content)}}
    return ValueRow(invocation, json.dumps({"Notification": {"Completion": {"Run": run}}}))


def sent(*tasks: list[Any], **members: Any) -> bytes:
    """The value of a publishing step: tasks as id, attempt, signal, partition and offset."""
    shared = {"task_type": "cook", "topic": "cook", "tasks": tasks, "created_ms": 5, "deadline_ms": DEADLINE_MS}
    return json.dumps({"sent": shared | members}).encode()


def handed_out(completion: int, task: str, number: int, **members: Any) -> ValueRow:
    """The value of a step that creates an awakeable for a token."""
    awakeable = {"task_type": "approve", "signal": number} | members.pop("awakeable", {})
    content = {
        "sent": None,
        "awakeable": awakeable,
        "task_id": task,
        "deadline_ms": DEADLINE_MS,
        "created_ms": 5,
    } | members
    return value(completion, json.dumps(content, separators=(",", ":")).encode())


def created(completion: int, place: int, name: str = "create task approve") -> StepRow:
    """The step that creates a task."""
    run = {"Command": {"Run": {"completion_id": completion, "name": name}}}
    return StepRow(INVOCATION, place, json.dumps(run), name)


def deadline(completion: int, place: int, task_type: str = "approve") -> StepRow:
    """The timer of a deadline."""
    name = f"deadline {task_type}"
    sleep = {"Command": {"Sleep": {"wake_up_time": DEADLINE_MS, "completion_id": completion, "name": name}}}
    return StepRow(INVOCATION, place, json.dumps(sleep), name)


def fired(completion: int, place: int) -> StepRow:
    """A timer that fired."""
    came = {"Notification": {"ty": {"Completion": "Sleep"}, "id": {"CompletionId": completion}, "result": "Void"}}
    return StepRow(INVOCATION, place, json.dumps(came))


def journal(*rows: StepRow | ValueRow | HeadRow) -> Journal:
    """What these rows of one invocation say."""
    steps = [row for row in rows if isinstance(row, StepRow)]
    heads = [row for row in rows if isinstance(row, HeadRow)]
    return journals_of(steps, [row for row in rows if isinstance(row, ValueRow)], heads)[INVOCATION]
