"""The lists of pending tasks that browsers look at: each is read once for all that look at the same one.

A list with a filter may cost Restate seconds, so reading one takes at most a quarter of the time. After a change by
hand its operator wants to see what came of it, so for some seconds each browser reads for itself.

Ownership: one event loop. Requests that come during a reading wait for it; cancellation of one leaves the reading to
the next one. What is kept is bounded: the lists that were asked for last.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Final

from kallback.cli.console.fresh import FreshValue
from kallback.cli.console.routes import TasksRoute
from kallback.cli.console.sources import ConsoleSources
from kallback.operations import TaskPage

_PAGE_TASKS: Final = 50
_KEPT: Final = 64
"""Lists at most: browsers look at a few, and each has a page of tasks."""
_FRESH_S: Final = 2.0
"""At most, unless it took long to read: people act on what they see."""
_PAUSE: Final = 3
_AFTER_CHANGE_S: Final = 10.0
"""A change goes through Kafka and a bridge."""


class TaskLists:
    """Reads the lists of one console.

    Args:
        seconds: how long what is read is shown; a list for two of them at most.
        now: seconds since the epoch.
    """

    def __init__(self, sources: ConsoleSources, seconds: float, now: Callable[[], float]) -> None:
        self._sources: Final = sources
        self._seconds: Final = min(seconds, _FRESH_S)
        self._now: Final = now
        self._lists: Final[dict[TasksRoute, FreshValue[TaskPage]]] = {}
        """The one that was asked for last is the last one."""
        self._changed = -math.inf

    async def get(self, route: TasksRoute) -> TaskPage:
        """Return a page of a list; raises what reading it raises."""
        if self._changed <= self._now() < self._changed + _AFTER_CHANGE_S:
            return await self._read(route)
        found = self._lists.pop(route, None)
        if found is None:
            found = FreshValue(partial(self._read, route), self._seconds, self._now, pause=_PAUSE)
        self._lists[route] = found
        while len(self._lists) > _KEPT:
            del self._lists[next(iter(self._lists))]
        return await found.get()

    def changed(self) -> None:
        """Forget all lists: tasks were changed by hand."""
        self._lists.clear()
        self._changed = self._now()

    async def _read(self, route: TasksRoute) -> TaskPage:
        return await self._sources.tasks(route.filter(int(self._now() * 1000)), route.cursor, _PAGE_TASKS)
