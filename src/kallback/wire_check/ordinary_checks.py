"""Checks that ask a worker for what every worker does. Pure."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Final

from kallback.kafka import Headers
from kallback.wire_check.options import WireCheckOptions
from kallback.wire_check.protocol_check import CheckNeed, check_of, good_request
from kallback.wire_check.steps import HOUR_S, AwaitAnswers, CheckStep, SendCopy, SendTask, SendTogether
from kallback.wire_check.verdicts.decide import (
    decide_completed,
    decide_copies,
    decide_next_attempt,
    decide_past_deadline,
    decide_unicode,
)

MANY: Final = 12
_BIG_BYTES: Final = 512 * 1024
_ODD_HEADERS: Final[Headers] = (
    ("x-unknown", "Größe 漢字".encode()),
    ("x-unknown", b"\xff\xfe not UTF-8"),
    ("x-null", None),
    ("kallback-of-a-later-version", b"1"),
)


@check_of(
    "good-task",
    "The result goes to kallback-reply-to, with the task's token.",
    "what-to-send-the-result-record",
    decide_completed,
)
def _good_task(options: WireCheckOptions) -> Sequence[CheckStep]:
    good = options.requests.good
    names = ["task"] if len(good) == 1 else [f"request {number}" for number in range(1, len(good) + 1)]
    tasks = [SendTask(name=name, value=value) for name, value in zip(names, good, strict=True)]
    return *tasks, AwaitAnswers(after_restart=True)


@check_of("next-attempt", "A new attempt of a task is done again.", "duplicates-and-idempotency", decide_next_attempt)
def _next_attempt(options: WireCheckOptions) -> Sequence[CheckStep]:
    first, second = "first attempt", "second attempt"
    return (
        SendTask(name=first, value=good_request(options)),
        AwaitAnswers(),
        SendTask(name=second, value=good_request(options), task_of=first, attempt=2),
        AwaitAnswers(),
    )


@check_of(
    "several", "Tasks that come at the same time are all answered.", "what-to-read-the-task-record", decide_completed
)
def _several(options: WireCheckOptions) -> Sequence[CheckStep]:
    return SendTogether(tasks_with_own_keys(MANY, options)), AwaitAnswers()


def tasks_with_own_keys(count: int, options: WireCheckOptions) -> tuple[SendTask, ...]:
    """Ordinary tasks that may go to any partition; their requests differ if several are given."""
    requests = itertools.cycle(options.requests.good)
    return tuple(SendTask(name=f"task {number}", value=next(requests), own_key=True) for number in range(1, count + 1))


@check_of(
    "copies",
    "A copy of an attempt is dropped, or gets the same answer.",
    "duplicates-and-idempotency",
    decide_copies,
)
def _copies(options: WireCheckOptions) -> Sequence[CheckStep]:
    return (
        SendTask(name="task", value=good_request(options)),
        SendCopy("task"),
        AwaitAnswers(),
        SendCopy("task"),
    )


@check_of("big-request", "A large request is read as a whole.", "size-limits", decide_completed)
def _big_request(options: WireCheckOptions) -> Sequence[CheckStep]:
    """Blanks around a JSON value mean nothing."""
    return SendTask(name="task", value=good_request(options).ljust(_BIG_BYTES)), AwaitAnswers()


@check_of(
    "unicode",
    "Requests are UTF-8.",
    "what-to-read-the-task-record",
    decide_unicode,
    CheckNeed.UNICODE_REQUEST,
)
def _unicode(options: WireCheckOptions) -> Sequence[CheckStep]:
    raw = options.requests.unicode or good_request(options)
    return (
        SendTask(name="task in UTF-8", value=raw),
        SendTask(name="task with escapes", value=escaped(raw)),
        AwaitAnswers(),
    )


@check_of("unknown-header", "Headers that are not known are ignored.", "what-to-read-the-task-record", decide_completed)
def _unknown_header(options: WireCheckOptions) -> Sequence[CheckStep]:
    return SendTask(name="task", value=good_request(options), changed=_ODD_HEADERS), AwaitAnswers()


@check_of(
    "past-deadline",
    "A task whose deadline has passed is skipped.",
    "what-to-read-the-task-record",
    decide_past_deadline,
)
def _past_deadline(options: WireCheckOptions) -> Sequence[CheckStep]:
    return (SendTask(name="task", value=good_request(options), deadline_s=-HOUR_S),)


def escaped(request: bytes) -> bytes:
    """The same JSON in ASCII."""
    return json.dumps(json.loads(request)).encode()


ORDINARY_CHECKS: Final = (
    _good_task,
    _next_attempt,
    _several,
    _copies,
    _big_request,
    _unicode,
    _unknown_header,
    _past_deadline,
)
