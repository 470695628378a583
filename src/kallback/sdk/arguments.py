"""Checks the arguments of handlers' calls: one of the wrong type is a terminal error that names it.

Restate retries a handler without end when it raises anything but a `TerminalError`, and no retry repairs a mistake in
the handler's code.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, cast

from restate import Context, RestateDurableFuture, TerminalError
from restate.context import DurablePromise

from kallback.protocol import Problem, TaskType
from kallback.protocol.tasktypes import LONGEST_TIMEOUT
from kallback.sdk.errors import (
    BAD_REQUEST,
    INTERNAL,
    INVALID_ARGUMENT,
    MISCONFIGURED,
    NOT_READ,
    NOT_WATCHED,
    CompletionRefused,
    TaskNotSent,
)
from kallback.settings import Topics

CODEC_UNKNOWN: Final = (
    "this application has a journal_value_codec that kallback does not know of: serve it with "
    "callbacks.app([...], journal_value_codec=...), and give its bridges KALLBACK_RESTATE_JOURNAL_VALUE_CODEC"
)

_UNREAD: Final = (
    "no bridge of this environment reads its results topic {!r}: add it to KALLBACK_TOPICS_MORE_RESULTS of bridges, "
    "services and workers"
)
_NO_WORKER: Final = (
    "{} is awakeable_only, so no worker does it: ask with callbacks.awakeable(ctx, ...), or declare the type without "
    "awakeable_only"
)
_NOT_BOUND: Final = (
    "TaskMonitor is not bound, which task types with heartbeat_every or start_timeout need: serve your services with "
    "callbacks.app([...]) in place of restate.app([...]), or say Callbacks(..., services_elsewhere=True) if another "
    "deployment serves callbacks.services"
)
_log: Final = logging.getLogger(__name__)


def check_task_type(task_type: object) -> None:
    """Refuse what is no task type.

    Raises:
        TaskNotSent: code 400.
    """
    if not isinstance(task_type, TaskType):
        raise not_sent(str(task_type), f"task_type must be a TaskType, not {_name(task_type)}")


def check_served(task_type: TaskType[Any, Any], topics: Topics, *, monitored: bool) -> None:
    """Refuse a type for which something of this environment is missing: its result would never come, or be noticed.

    Args:
        task_type: to be sent.
        topics: of this environment.
        monitored: `TaskMonitor` is served.

    Raises:
        TaskNotSent: code 500; it is logged, too, for it is an operator's to mend. Or code 400 for a type of awakeables.
    """
    if task_type.awakeable_only:
        raise not_sent(task_type.name, _NO_WORKER.format(task_type.name))
    if task_type.monitored and not monitored:
        raise _not_served(task_type, NOT_WATCHED, _NOT_BOUND)
    if (reason := topics.why_no_task_topic(task_type.topic)) is not None:
        raise _not_served(task_type, MISCONFIGURED, reason)
    if task_type.results_topic and task_type.results_topic not in topics.all_results:
        raise _not_served(task_type, NOT_READ, _UNREAD.format(task_type.results_topic))


def _not_served(task_type: TaskType[Any, Any], kind: str, sentence: str) -> TaskNotSent:
    _log.error("%s was not sent: %s", task_type.name, sentence)
    return TaskNotSent(Problem(kind, INTERNAL, sentence), task_type=task_type.name)


def restate_context(ctx: object) -> Context:
    """A context of Restate.

    Raises:
        TerminalError: it is none (400).
    """
    if not isinstance(ctx, Context):
        raise TerminalError(f"ctx must be the handler's restate.Context, not {_name(ctx)}", BAD_REQUEST)
    return ctx


def check_context(ctx: object, *, has_codec: bool = False) -> None:
    """Refuse what is no context of Restate, and one with a codec for the journal that bridges may not have.

    Bridges are told of the codec when the application is made with `Callbacks.app`, so only then it is expected here.

    Raises:
        TerminalError: code 400.
    """
    if not has_codec and getattr(restate_context(ctx), "journal_codec", None) is not None:
        raise TerminalError(CODEC_UNKNOWN, BAD_REQUEST)


def check_key(task_type: str, key: object, *, name: str = "key") -> None:
    """Refuse a key that is no text.

    Raises:
        TaskNotSent: code 400.
    """
    if key is not None and not isinstance(key, str):
        raise not_sent(task_type, f"{name} must be a str or None, not {_name(key)}: convert it, for example with str()")


def check_timeout(task_type: str, timeout: object) -> None:
    """Refuse a timeout that is no `timedelta`.

    Raises:
        TaskNotSent: code 400.
    """
    if timeout is not None and not isinstance(timeout, timedelta):
        hint = f": write timedelta(seconds={timeout})" if isinstance(timeout, int | float) else ""
        raise not_sent(task_type, f"timeout must be a timedelta or None, not {_name(timeout)}{hint}")


def check_sequence(task_type: str, name: str, values: object) -> None:
    """Refuse what is no list or tuple; a text is none, though Python calls it a sequence.

    Raises:
        TaskNotSent: code 400.
    """
    if not _is_sequence(values):
        raise not_sent(task_type, f"{name} must be a list or another sequence, not {_name(values)}")


def check_all(name: str, values: object, expected: type[object]) -> None:
    """Refuse what is no sequence of values of one type.

    Raises:
        TerminalError: code 400.
    """
    if not _is_sequence(values):
        raise TerminalError(f"{name} must be a list or another sequence, not {_name(values)}", BAD_REQUEST)
    for index, value in enumerate(cast("Sequence[object]", values)):
        if not isinstance(value, expected):
            raise TerminalError(f"{name}[{index}] must be a {expected.__name__}, not {_name(value)}", BAD_REQUEST)


def check_number(name: str, value: object) -> None:
    """Refuse what is no integer.

    Raises:
        TerminalError: code 400.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TerminalError(f"{name} must be an int, not {_name(value)}", BAD_REQUEST)


def check_flag(name: str, value: object) -> None:
    """Refuse what is no bool.

    Raises:
        TerminalError: code 400.
    """
    if not isinstance(value, bool):
        raise TerminalError(f"{name} must be a bool, not {_name(value)}", BAD_REQUEST)


def check_text(name: str, value: object) -> None:
    """Refuse what is no text, or cannot travel as UTF-8.

    Raises:
        TerminalError: code 400.
    """
    if not isinstance(value, str):
        raise TerminalError(f"{name} must be a str, not {_name(value)}", BAD_REQUEST)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise TerminalError(f"{name} cannot be encoded as UTF-8: remove its lone surrogates", BAD_REQUEST) from None


def checked_choices(choices: object) -> Mapping[str, Any]:
    """Answers by their labels.

    Raises:
        TerminalError: it is no mapping, or a label is no text (400).
    """
    if not isinstance(choices, Mapping):
        raise TerminalError(
            f'choices must be a dict such as {{"Approve": True, "Refuse": False}}, not {_name(choices)}', BAD_REQUEST
        )
    found = cast("Mapping[str, Any]", choices)
    for label in found:
        check_text("each label of choices", label)
    return found


def check_future(name: str, value: object) -> None:
    """Refuse what is no durable future.

    Raises:
        TerminalError: code 400.
    """
    if isinstance(value, DurablePromise):
        raise TerminalError(f"{name} must be a durable future: of a promise it is promise.value()", BAD_REQUEST)
    if not isinstance(value, RestateDurableFuture):
        raise TerminalError(
            f"{name} must be a durable future, such as ctx.sleep(...) or ctx.promise(...).value(), not {_name(value)}",
            BAD_REQUEST,
        )


def check_length(name: str, value: object) -> None:
    """Refuse what is no `timedelta` longer than 0.

    Raises:
        TerminalError: code 400.
    """
    if not isinstance(value, timedelta):
        raise TerminalError(f"{name} must be a timedelta, not {_name(value)}", BAD_REQUEST)
    if not timedelta(0) < value <= LONGEST_TIMEOUT:
        raise TerminalError(
            f"{name} must be longer than 0 and at most {LONGEST_TIMEOUT.days} days, not {value}", BAD_REQUEST
        )


def check_completion(name: str, value: object, expected: type[object]) -> None:
    """Refuse an argument of a completion that has another type.

    Raises:
        CompletionRefused: code 400.
    """
    if not isinstance(value, expected) or isinstance(value, bool):
        raise CompletionRefused("invalid-argument", f"{name} must be of type {expected.__name__}, not {_name(value)}")


def not_sent(task_type: str, detail: str) -> TaskNotSent:
    """The error of a task with an argument of the wrong type."""
    return TaskNotSent(Problem(INVALID_ARGUMENT, BAD_REQUEST, detail), task_type=task_type)


def _is_sequence(values: object) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str | bytes | bytearray | memoryview)


def _name(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
