"""Failures: what a task function raises, and what becomes of it on the wire."""

from __future__ import annotations

import traceback
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, Final

from kallback.protocol.long_tasks.last_details import details_of, with_details
from kallback.protocol.problems import (
    DEFAULT_STATUS,
    DEFAULT_TYPE,
    OWN_TYPES,
    UNEXPECTED_ERROR,
    UNUSABLE_RESULT,
    Problem,
)
from kallback.protocol.retries import EXCEPTION

RESULT_TOO_LARGE: Final = "urn:kallback:result-too-large"

_LONGEST_DETAIL: Final = 2_000
_LONGEST_NAME: Final = 200
_LONGEST_TRACEBACK: Final = 20_000
_STATUSES: Final = range(400, 600)


class TaskFailure(Exception):  # noqa: N818 - a failure is an answer that the caller gets, not an error of the worker
    """Raise it in a task function: the caller gets a failed result with exactly this.

        raise TaskFailure("OutOfStock", "no basil", status=422, retryable=False, ingredient="basil")

    Attributes:
        problem: what travels, an RFC 9457 problem object.
    """

    _may_have_own_type: ClassVar[bool] = False

    def __init__(
        self,
        type: str = DEFAULT_TYPE,  # noqa: A002 - the problem object's own word
        detail: str = "",
        *,
        status: int = DEFAULT_STATUS,
        title: str | None = None,
        retryable: bool | None = None,
        retry_after: float | timedelta | None = None,
        **extensions: Any,
    ) -> None:
        """Describe the failure.

        Args:
            type: names the kind of failure; callers branch on it. Types `urn:kallback:*` are kallback's own.
            detail: one sentence for people.
            status: 400 to 599, as in HTTP; becomes the code of the caller's error.
            title: a short name of the kind, for people.
            retryable: whether the same task may succeed later.
            retry_after: seconds to wait before that, or a `timedelta`.
            extensions: further members, JSON values.

        Raises:
            ValueError: the status or the type is none of a function's failure. Callers act on kallback's own types: a
                function that said it hands back would be repeated, uncounted, until the deadline.
        """
        if str(type).startswith(OWN_TYPES) and not self._may_have_own_type:
            raise ValueError(f"TaskFailure: type {str(type)!r} is one of kallback's own, use a type of yours")
        if status not in _STATUSES:
            raise ValueError(f"TaskFailure: status {status} is none of a failure, use 400 to 599")
        super().__init__(detail or type)
        self.problem: Final = Problem(
            type=str(type),
            status=int(status),
            detail=str(detail),
            title=None if title is None else str(title),
            retryable=None if retryable is None else bool(retryable),  # numbers of numpy have a bool of their own
            retry_after=_seconds(retry_after),
            extensions=extensions,
        )

    @property
    def type(self) -> str:
        """The type of failure, as the caller's `TaskFailed.type` has it."""
        return self.problem.type


def _seconds(given: float | timedelta | None) -> float | None:
    if given is None:
        return None
    return given.total_seconds() if isinstance(given, timedelta) else float(given)


class _KnownFailure(TaskFailure):
    """One whose problem is known, whatever its type."""

    _may_have_own_type = True


def failure_of(problem: Problem) -> TaskFailure:
    """The failure that has this problem."""
    return _KnownFailure(
        problem.type,
        problem.detail,
        status=problem.status,
        title=problem.title,
        retryable=problem.retryable,
        retry_after=problem.retry_after,
        **problem.extensions,
    )


class ChildError(Exception):
    """What a function in a child process raised, where it was not a `TaskFailure`.

    Exceptions do not travel between processes: many cannot be pickled, and more cannot be unpickled.

    Attributes:
        problem: what the caller is told.
        traceback: for the log.
    """

    def __init__(self, problem: Problem, traceback_text: str) -> None:
        super().__init__(f"{problem.detail}\n{traceback_text}" if traceback_text else problem.detail)
        self.problem: Final = problem
        self.traceback: Final = traceback_text


def problem_of(error: BaseException, *, expose_tracebacks: bool) -> Problem:
    """What the caller is told about an exception of a task function.

    Its class names travel in the extension `exception`, so that a retry policy can name them; whether it is
    retryable is left to that policy.
    """
    if isinstance(error, TaskFailure) and isinstance(getattr(error, "problem", None), Problem):
        return error.problem  # a subclass may forget to call __init__
    if isinstance(error, ChildError):
        shown = {"traceback": error.traceback} if expose_tracebacks and error.traceback else {}
        return replace(error.problem, extensions={**error.problem.extensions, **shown})
    message = _shown(error)
    detail = f"{type(error).__name__}: {message}" if message else type(error).__name__
    extensions: dict[str, Any] = {EXCEPTION: class_names(error)}
    if expose_tracebacks:
        extensions["traceback"] = traceback_of(error)
    return Problem(type=UNEXPECTED_ERROR, status=500, detail=_clean(detail, _LONGEST_DETAIL), extensions=extensions)


def interrupted(name: str, detail: str) -> TaskFailure:
    """The failure of a function that did not end by itself."""
    sentence = _clean(f"{name}: {detail}" if detail else name, _LONGEST_DETAIL)
    return failure_of(Problem(UNEXPECTED_ERROR, 500, sentence, extensions={EXCEPTION: [name]}))


def class_names(error: BaseException) -> list[str]:
    """The names of an exception's classes, most specific first, without `Exception` and what is above it."""
    base = Exception if isinstance(error, Exception) else BaseException
    classes = type(error).__mro__
    return [_clean(each.__name__, _LONGEST_NAME) for each in classes[: classes.index(base)]]


def misfit_problem(task_type: str, function: str, sentence: str) -> Problem:
    """What the caller is told when the returned value is not of the declared result type."""
    detail = (
        f"{function} returned a value that is no result of task type {task_type}: {sentence}. "
        "Return the declared type, or change result= of the task type on both sides"
    )
    return Problem(type=UNUSABLE_RESULT, status=500, detail=_clean(detail, _LONGEST_DETAIL), retryable=False)


def unpicklable_problem(task_type: str, error: Exception) -> Problem:
    """What the caller is told when the returned value does not get out of its child process."""
    detail = (
        f"the function of {task_type} returned a value that cannot be pickled "
        f"({type(error).__name__}: {_shown(error)}), so it does not get out of its child process: "
        "return plain data of the declared type"
    )
    return Problem(type=UNUSABLE_RESULT, status=500, detail=_clean(detail, _LONGEST_DETAIL), retryable=False)


def too_large_problem(size: int, topic: str) -> Problem:
    """What the caller is told when Kafka will not take the result."""
    return Problem(
        type=RESULT_TOO_LARGE,
        status=500,
        detail=f"the work was done, but its result of {size} bytes is larger than topic {topic} allows: return a "
        "reference to where it is stored, or raise max.message.bytes of the topic (and "
        "KALLBACK_KAFKA_MAX_REQUEST_BYTES of the worker)",
        retryable=False,
        extensions={"size": size},
    )


def encode_problem(problem: Problem) -> bytes:
    """The problem as JSON. If JSON cannot carry an extension, all are left out but the last details. Never raises.

    The problem's detail says so.
    """
    try:
        return problem.encode()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - values of user types may raise anything while they are encoded
        return _without_extensions(problem, _shown(error)).encode()


def _without_extensions(problem: Problem, reason: str) -> Problem:
    bare = Problem(
        type=_clean(str(problem.type), _LONGEST_DETAIL),
        status=problem.status,
        detail=_clean(f"{problem.detail} (left out what is no JSON: {reason})".lstrip(), _LONGEST_DETAIL),
        retryable=problem.retryable,
        retry_after=problem.retry_after,
    )
    return with_details(bare, details_of(problem))


def _shown(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - an exception class of the user may fail at its own text, or panic
        return "(its text cannot be had)"


def traceback_of(error: BaseException) -> str:
    """The traceback as text, its end if it is long."""
    try:
        text = "".join(traceback.format_exception(error))
    except BaseException:  # noqa: BLE001 - an exception class of the user may fail at its own text, or panic
        text = "(the traceback cannot be formatted)"
    return _clean(text[-_LONGEST_TRACEBACK:], _LONGEST_TRACEBACK)


def _clean(text: str, longest: int) -> str:
    """Text that UTF-8 can carry (file names bring lone surrogates), not longer than people read."""
    carried = text.encode("utf-8", "backslashreplace").decode()
    return carried if len(carried) <= longest else carried[:longest] + "…"
