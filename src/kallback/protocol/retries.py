"""Retry policies: whether a failed attempt is followed by another one, and when. Pure.

The caller decides, because it is the caller's timeout; the worker advises. A failure that says itself whether it is
`retryable` is believed. One that does not is decided as in HTTP: 4xx is the request's fault and stays (but for 408,
425, 429, and whatever says when to come back), 5xx may pass.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, cast

from kallback.protocol.errors import ConfigurationError
from kallback.protocol.problems import UNDECODABLE_TASK, UNUSABLE_RESULT, Problem
from kallback.protocol.tokens import Attempt

EXCEPTION: Final = "exception"
"""Extension of an unexpected error's problem: the names of the exception's classes, most specific first."""

_SERVER_ERRORS: Final = 500
_PASSING: Final = frozenset({408, 425, 429})
"""Request timeout, too early, too many requests: in HTTP the same request may succeed later."""

_NEVER: Final = frozenset({UNUSABLE_RESULT, UNDECODABLE_TASK})
_LONGEST_PAUSE: Final = timedelta(days=365)
"""No failure can ask for more: longer than any timeout, and far below the limit of a timedelta."""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Dispatch the next attempt after this delay."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The failure is the task's; the reason says why there is no other attempt."""

    reason: str


Retry = RetryAfter | GiveUp


def check_duration(name: str, duration: object) -> None:
    """Refuse a number where a `timedelta` is expected: nothing says whether it counts seconds.

    Raises:
        ConfigurationError: says what to write.
    """
    if not isinstance(duration, timedelta):
        hint = f": write timedelta(seconds={duration})" if isinstance(duration, int | float) else ""
        raise ConfigurationError(f"{name} must be a timedelta{hint}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a failed attempt is followed by another one, and how long after it.

        RetryPolicy(attempts=5, first_delay=timedelta(seconds=2), never={"OutOfStock", "ValueError"})

    Attributes:
        attempts: how many there are at most, the first one included. Default 5; None for no limit but the task's
            timeout.
        first_delay: before the second attempt. Default 1 s. A failure's own `retry_after` counts if it is longer.
        factor: each delay is the previous one times this. Default 2.
        longest_delay: no delay is longer, unless the failure asks for it. Default 5 minutes.
        never: failures after which there is no other attempt: problem types (`OutOfStock`), or class names of
            unexpected exceptions of a Python worker (`ValueError`; its subclasses are meant, too).

    Raises:
        ConfigurationError: numbers that cannot work.
    """

    attempts: int | None = 5
    first_delay: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    longest_delay: timedelta = timedelta(minutes=5)
    never: Collection[str] = frozenset()

    def __post_init__(self) -> None:
        _check_attempts(self.attempts)
        check_duration("RetryPolicy: first_delay", self.first_delay)
        check_duration("RetryPolicy: longest_delay", self.longest_delay)
        _check_factor(self.factor)
        _check_names(self.never)
        if self.attempts is not None and self.attempts < 1:
            raise ConfigurationError("RetryPolicy: attempts counts the first one, so it is at least 1")
        if self.first_delay < timedelta(0) or self.longest_delay < self.first_delay:
            raise ConfigurationError(
                "RetryPolicy: delays must not be negative, and longest_delay not below first_delay"
            )
        if not (math.isfinite(self.factor) and self.factor >= 1):
            raise ConfigurationError("RetryPolicy: factor must be at least 1")
        object.__setattr__(self, "never", frozenset(self.never))

    def after(self, attempt: Attempt, problem: Problem) -> Retry:
        """What follows the failure of an attempt."""
        if self.attempts is not None and attempt >= self.attempts:
            return GiveUp(f"it was attempt {attempt} of {self.attempts}")
        refusal = self._refusal(problem)
        if refusal is not None:
            return GiveUp(refusal)
        return RetryAfter(max(self._delay(attempt), _asked_for(problem)))

    def _refusal(self, problem: Problem) -> str | None:
        named = next((name for name in names_of(problem) if name in self.never), None)
        if named is not None:
            return f"{named} is never tried again"
        if problem.type in _NEVER:
            return f"another attempt would end as {problem.type}, too"
        if problem.retryable is not None:
            return None if problem.retryable else "the worker says that it is not retryable"
        passing = problem.status >= _SERVER_ERRORS or problem.status in _PASSING or problem.retry_after is not None
        return None if passing else f"status {problem.status} is the request's fault"

    def _delay(self, attempt: Attempt) -> timedelta:
        try:
            seconds = self.first_delay.total_seconds() * self.factor ** (attempt - 1)
        except OverflowError:  # larger than any float, unless it is a multiple of nothing
            return self.longest_delay if self.first_delay else self.first_delay
        if seconds >= self.longest_delay.total_seconds():
            return self.longest_delay
        return min(timedelta(seconds=seconds), self.longest_delay)


def _check_attempts(attempts: object) -> None:
    if attempts is not None and (not isinstance(attempts, int) or isinstance(attempts, bool)):
        raise ConfigurationError("RetryPolicy: attempts must be an int, or None for no limit")


def _check_factor(factor: object) -> None:
    if not isinstance(factor, int | float) or isinstance(factor, bool):
        raise ConfigurationError("RetryPolicy: factor must be a number")
    if factor > sys.float_info.max and factor != math.inf:
        raise ConfigurationError("RetryPolicy: factor is larger than any float")


def _check_names(never: object) -> None:
    if isinstance(never, str) or not isinstance(never, Collection):
        raise ConfigurationError(f"RetryPolicy: never is a set of names, write {{{never!r}}}")
    for name in cast("Collection[object]", never):
        if isinstance(name, type):
            raise ConfigurationError(f"RetryPolicy: never has names, not classes: write {name.__name__!r}")
        if not isinstance(name, str):
            raise ConfigurationError(f"RetryPolicy: never has names, and {name!r} is none")


def names_of(problem: Problem) -> list[str]:
    """What a failure is called: its type, and the exception's classes if it was an unexpected one."""
    exception = problem.extensions.get(EXCEPTION)
    classes = cast("list[object]", exception) if isinstance(exception, list) else []
    return [problem.type, *(name for name in classes if isinstance(name, str))]


def _asked_for(problem: Problem) -> timedelta:
    seconds = problem.retry_after or 0.0
    return timedelta(seconds=min(seconds, _LONGEST_PAUSE.total_seconds()))
