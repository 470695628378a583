"""How long to wait before the next try, and the loop that tries again: one implementation for all packages."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from kallback.settings.option_types import check_option_types, check_seconds

T = TypeVar("T")
_MAX_DOUBLINGS: Final = 30  # 2**30 times `first` is beyond every sensible `longest`, and the float does not overflow


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with jitter.

    Attributes:
        first: seconds after the first failure. Default 0.05: most outages of a server that restarts are short.
        longest: the upper bound in seconds. Default 0.5: a part notices within a second that the server is back.
    """

    first: float = 0.05
    longest: float = 0.5

    def __post_init__(self) -> None:
        """Refuse types, and times with which a loop of tries would not wait, or wait without an end."""
        check_option_types(self)
        check_seconds(self, "first", "longest", least=0.0)

    def delay(self, failures: int, jitter: float | None = None) -> float:
        """Return the seconds to wait: doubled per failure, at most `longest`, half of it jitter.

        The jitter avoids synchronized retries of many processes.

        Args:
            failures: failures in a row, 1 after the first one.
            jitter: a number of [0, 1). Default: a random one.
        """
        chosen = random.random() if jitter is None else jitter  # noqa: S311 - jitter is no secret
        grown = self.first * 2.0 ** min(max(failures - 1, 0), _MAX_DOUBLINGS)
        return min(self.longest, grown) * (0.5 + chosen / 2)


class ReplacementPace:
    """Says how long to wait before a part that failed is replaced: the longer, the more of them failed in a row.

    A part that fails soon after its start fails like the one before it: what stopped that one stops all of them. Pure,
    but for the jitter.

    Args:
        backoff: between replacements; the first one is made at once.
        lasting: seconds after which a part counts as one that works.
    """

    def __init__(self, backoff: Backoff, lasting: float = 60.0) -> None:
        self._backoff: Final = backoff
        self._lasting: Final = lasting
        self._failures = 0
        self._since = float("-inf")

    def started(self, now: float) -> None:
        """A part has started; seconds that only grow, as everywhere here."""
        self._since = now

    def delay(self, now: float, jitter: float | None = None) -> float:
        """The part has failed: return the seconds until its replacement."""
        self._failures = self._failures + 1 if now - self._since < self._lasting else 0
        return self._backoff.delay(self._failures, jitter) if self._failures else 0.0


async def retry(
    action: Callable[[], Awaitable[T]],
    backoff: Backoff,
    *,
    errors: type[Exception] | tuple[type[Exception], ...],
    on_failure: Callable[[Exception, float], object] = lambda _error, _delay: None,
    jitter: Callable[[], float] = random.random,
) -> T:
    """Call `action` until it does not raise one of `errors`; every other error is passed on.

    Cancellation ends it at once, also while it waits.

    Args:
        action: awaited once per try.
        backoff: how long to wait between tries.
        errors: what is worth another try.
        on_failure: told the error and the seconds until the next try, before the wait. It may raise to give up.
        jitter: numbers of [0, 1).
    """
    failures = 0
    while True:
        try:
            return await action()
        except errors as error:
            failures += 1
            delay = backoff.delay(failures, jitter())
            on_failure(error, delay)
        await asyncio.sleep(delay)
