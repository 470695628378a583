"""Waiting for many courses at once: which of them waits for which future, kept up to date from one wait to the next.

A thousand tasks mean a thousand waits for up to a thousand futures each. So what is waited for is put together once,
and after a wait only the courses that it concerned are asked again.

Everything is ordered (dictionaries keep the order of insertion, and what they hold follows from the journal), so that a
replay takes the same steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Generic, TypeVar

from restate import RestateDurableFuture, wait_completed

from kallback.sdk.tasks.publishing import publish, tell
from kallback.sdk.tasks.state import Course

Result = TypeVar("Result")


class Lookout(Generic[Result]):
    """Drives courses until they end; those that have ended already are left alone."""

    def __init__(self, courses: Iterable[Course[Result]]) -> None:
        self._under_way: Final = dict[int, Course[Result]]()
        self._ready: Final = list[Course[Result]]()
        self._futures: Final = dict[int, RestateDurableFuture[Any]]()
        self._waiting: Final = dict[int, dict[int, Course[Result]]]()
        self._waits: Final = dict[int, list[int]]()
        for course in courses:
            if course.ended is None:
                self._under_way[id(course)] = course
                self._enter(course)

    @property
    def under_way(self) -> list[Course[Result]]:
        """Those that have not ended."""
        return list(self._under_way.values())

    def __len__(self) -> int:
        """How many have not ended."""
        return len(self._under_way)

    async def step(self) -> list[Course[Result]]:
        """Wait for the next thing that happens, and act on it; the courses that ended with it.

        Raises:
            TerminalError: the invocation was cancelled (409).
        """
        if self._ready:
            concerned = list(self._ready)
            self._ready.clear()
            for course in concerned:
                await course.renew()
                await publish(course)
        else:
            completed, _ = await wait_completed(*self._futures.values())
            ids = frozenset(map(id, completed))
            concerned = self._concerned(completed)
            for course in concerned:
                self._leave(course)
                await course.advance(ids)
        await tell(concerned)
        return self._sorted(concerned)

    def _concerned(self, completed: list[RestateDurableFuture[Any]]) -> list[Course[Result]]:
        """Whom it concerns, each once, in a fixed order."""
        found = dict[int, Course[Result]]()
        for future in completed:
            found |= self._waiting[id(future)]
        return list(found.values())

    def _sorted(self, concerned: list[Course[Result]]) -> list[Course[Result]]:
        ended = [course for course in concerned if course.ended is not None]
        for course in ended:
            del self._under_way[id(course)]
        for course in concerned:
            if course.ended is None:
                self._enter(course)
        return ended

    def _enter(self, course: Course[Result]) -> None:
        if course.ready:
            self._ready.append(course)
            return
        futures = course.waits()
        self._waits[id(course)] = [id(future) for future in futures]
        for future in futures:
            self._futures[id(future)] = future
            self._waiting.setdefault(id(future), {})[id(course)] = course

    def _leave(self, course: Course[Result]) -> None:
        for future in self._waits.pop(id(course)):
            others = self._waiting[future]
            del others[id(course)]
            if not others:
                del self._waiting[future], self._futures[future]
