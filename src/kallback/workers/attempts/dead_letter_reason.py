"""Why a worker dead-letters a record."""

from __future__ import annotations

from enum import StrEnum

from kallback.kafka import TOO_MANY_HEADERS, UNREADABLE


class DeadLetterReason(StrEnum):
    """Why a task record is dead-lettered: header `kallback-dead-reason`."""

    NOT_A_TASK = "not-a-task"
    UNKNOWN_TASK_TYPE = "unknown-task-type"
    REFUSED_REPLY_TOPIC = "refused-reply-topic"
    UNDECODABLE_TASK = "undecodable-task"
    UNDELIVERABLE_RESULT = "undeliverable-result"
    PARKED = "parked"
    TOO_MANY_HEADERS = TOO_MANY_HEADERS
    UNREADABLE = UNREADABLE
