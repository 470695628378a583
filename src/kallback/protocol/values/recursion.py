"""Reads and writes deep JSON wherever it is called: deep in a call stack, and with a low recursion limit.

msgspec counts its levels against `sys.getrecursionlimit` on Python 3.11, together with the calls around it. So what
does not fit is done again with a higher limit: 500 levels need little of the real stack.

The limit is the whole process's, and large values are read in threads. So the first thread raises it, and the last one
takes it back.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Final, TypeVar

Value = TypeVar("Value")

_MORE: Final = 2_000
"""For 500 levels of JSON, a few calls each."""


class _RaisedLimit:
    """The recursion limit, raised while at least one thread needs it."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self._users = 0
        self._before = 0

    def enter(self) -> None:
        """Raise the limit, unless it is raised."""
        with self._lock:
            if self._users == 0:
                self._before = sys.getrecursionlimit()
                sys.setrecursionlimit(self._before + _MORE)
            self._users += 1

    def leave(self) -> None:
        """The last one takes it back. If others set it meanwhile, theirs stays."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and sys.getrecursionlimit() == self._before + _MORE:
                sys.setrecursionlimit(self._before)


_limit: Final = _RaisedLimit()


def with_room(work: Callable[[], Value]) -> Value:
    """Do something that has no effects; if the recursion limit is too low for it, once more with a higher one.

    Raises:
        RecursionError: that does not suffice, either.
        Exception: what the work raises.
    """
    try:
        return work()
    except RecursionError:
        _limit.enter()
        try:
            return work()
        finally:
            _limit.leave()
