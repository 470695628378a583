"""JSON Schemas of the headers and values that are the same for all task types: as `protocol/README.md` says.

Kafka's header values are bytes; here they are what these are in UTF-8.
"""

from __future__ import annotations

from typing import Any, Final

from kallback.contracts.contract import TypeContract
from kallback.protocol import headers as names
from kallback.protocol.frameworks.conventions import (
    EVENT_ID,
    EVENT_STATUS,
    EVENT_TYPE,
    TABLE,
    Convention,
)

_NUMBER: Final = "^[1-9][0-9]{0,14}$"


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


_TOKEN: Final = _text(
    "Completes this attempt. The only thing that must be echoed, byte for byte; as secret as a password."
)
_TRACE: Final = {
    names.TRACEPARENT: _text("W3C trace context."),
    names.TRACESTATE: _text("W3C trace context."),
}

PROBLEM: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "Why a task failed (RFC 9457). A member of another type counts as absent; others are kept.",
    "type": "object",
    "properties": {
        "type": _text("Names the kind of failure; callers branch on it.", default="about:blank"),
        "title": _text("A short name of the kind."),
        "status": {
            "type": "integer",
            "description": "The code of the handler's error.",
            "minimum": 400,
            "maximum": 599,
            "default": 500,
        },
        "detail": _text("One sentence for people.", default=""),
        "retryable": {"type": "boolean", "description": "Whether the same task may succeed later."},
        "retry_after": {"type": "number", "description": "Seconds to wait before that.", "minimum": 0},
        "last_details": _text("JSON as a text: what the next attempt gets, if the task has kallback-hand-back."),
    },
}
DETAILS: Final[dict[str, Any]] = {
    "title": "ProgressDetails",
    "description": "How far the work is: any JSON of at most 16,384 bytes, or nothing.",
}
CANCEL: Final[dict[str, Any]] = {
    "title": "Cancel",
    "type": "object",
    "properties": {
        "kallback": {"const": 1},
        "action": {"const": "cancel"},
        "task": _text("Task id."),
        "attempt": {"type": ["integer", "null"], "description": "Attempts up to this one; null means all."},
        "reason": {"enum": ["timed-out", "cancelled", "superseded"]},
        "at": {"type": "integer", "description": "Epoch milliseconds."},
        "secret": _text("Proves that the cancel comes from the caller: its hash is kallback-cancel-hash of the task."),
    },
    "required": ["kallback", "action", "task"],
}


def task_headers(contract: TypeContract) -> dict[str, Any]:
    """The headers of a task of a type."""
    always: dict[str, Any] = {
        names.VERSION: {"const": names.WIRE_VERSION, "description": "Refuse other versions."},
        names.TOKEN: _TOKEN,
        names.TASK_ID: _text("The same for all attempts: the idempotency key.", minLength=16, maxLength=16),
        names.ATTEMPT: _text("Counted from 1. Copies of one attempt are identical.", pattern=_NUMBER),
        names.TYPE: {"const": contract.name, "description": "Name of the task type."},
        names.REPLY_TO: _text("Topic for the result. Keep an allow-list."),
        names.CONTENT_TYPE: {"const": names.JSON},
        names.SPRING_CORRELATION_ID: _text("The token once more."),
        names.SPRING_REPLY_TOPIC: _text("The reply topic once more."),
    }
    limits = contract.seconds
    deadline = _text("Epoch milliseconds. After that the caller has stopped waiting.", pattern=_NUMBER)
    if "attempt_timeout" in limits:
        always[names.DEADLINE] = deadline
    if "start_timeout" in limits:
        always[names.START_BY] = _text("Epoch milliseconds. Who starts later skips the task.", pattern=_NUMBER)
    if contract.monitored:
        always[names.PROGRESS_TO] = _text("Topic for progress.")
    if "heartbeat_every" in limits:
        always[names.HEARTBEAT_EVERY] = _text("Milliseconds between heartbeats.", pattern=_NUMBER)
    always |= _framework_headers(contract)
    sometimes = {
        names.DEADLINE: deadline,  # a call may have no timeout, whatever the task type says
        names.CANCEL_HASH: _text("Proves cancels of this task.", minLength=43, maxLength=43),
        names.HAND_BACK: {"const": "1", "description": "An attempt may be handed back."},
        names.RETRY_LOST: {"const": "1", "description": "Another attempt follows if the heartbeats of this one stop."},
        names.LAST_DETAILS: _text("JSON: how far the previous attempt came."),
        **_TRACE,
    }
    return {"type": "object", "properties": {**sometimes, **always}, "required": sorted(always)}


def _framework_headers(contract: TypeContract) -> dict[str, Any]:
    row = TABLE[contract.convention]
    if contract.convention in {Convention.KALLBACK, Convention.SPRING, Convention.NESTJS}:
        return {}  # each task has theirs
    found: dict[str, Any] = {name: {"const": value.decode()} for name, value in row.constant}
    found[row.correlation_id] = _text("The token once more.")
    if row.reply_topic:
        found[row.reply_topic] = _text("The reply topic once more.")
    if contract.convention is Convention.CLOUDEVENTS:
        found |= {EVENT_ID: _text("Task id and attempt."), EVENT_TYPE: {"const": contract.name}}
    return found


def result_headers(contract: TypeContract) -> dict[str, Any]:
    """The headers of a completed result."""
    status = {"enum": ["completed"], "description": "Also the meaning of an absent header."}
    return _reply(contract, {names.STATUS: status}, [])


def failure_headers(contract: TypeContract) -> dict[str, Any]:
    """The headers of a failed result."""
    row = TABLE[contract.convention]
    marks: dict[str, Any] = {names.STATUS: {"const": "failed"}}
    if contract.convention is Convention.CLOUDEVENTS:
        marks[EVENT_STATUS] = {"const": "failed"}
    marks |= {name: _text("Marks an error in the way of the framework.") for name in row.errors}
    return _reply(contract, marks, list(marks))


def _reply(contract: TypeContract, members: dict[str, Any], one_of: list[str]) -> dict[str, Any]:
    row = TABLE[contract.convention]
    tokens = list(dict.fromkeys([names.TOKEN, row.correlation_id]))
    properties = {names.TOKEN: _TOKEN, **{name: _text("The token.") for name in tokens[1:]}, **members, **_TRACE}
    return {
        "type": "object",
        "properties": properties,
        "allOf": [_any_of(names) for names in (tokens, one_of) if names],
    }


def _any_of(headers: list[str]) -> dict[str, Any]:
    return {"required": headers} if len(headers) == 1 else {"anyOf": [{"required": [name]} for name in headers]}


def progress_headers() -> dict[str, Any]:
    """The headers of a progress record."""
    properties = {
        names.TOKEN: _TOKEN,
        names.SIGNAL: {"enum": ["started", "heartbeat"]},
        names.AT: _text("Epoch milliseconds of the worker's clock.", pattern=_NUMBER),
        names.HEARTBEAT_EVERY: _text("The task's, if it has one.", pattern=_NUMBER),
        names.PARTITIONS: _text("Partitions of the task's topic that the process reads, such as 0-5,8."),
    }
    return {"type": "object", "properties": properties, "required": [names.TOKEN, names.SIGNAL, names.AT]}
