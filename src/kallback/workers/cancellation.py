"""Cancels: what is remembered of the control topic, and the task that follows it.

Every process reads the whole control topic without a group, to its end before tasks start, then onwards: a cancel
can overtake its task, and a worker that joins later must not do what was cancelled before. The follower is the
only writer of the memory and runs on the worker's loop, so a reader on that loop never sees a half-read batch.

Losing the control topic stops no work: cancels are best effort by nature, the caller is gone either way. The
follower then opens a new reader, which reads everything again; remembering a cancel twice changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from kallback.kafka import Record, TopicReader
from kallback.lifecycle import Backoff, Supervisor
from kallback.protocol.controls import Cancel
from kallback.protocol.errors import InvalidControlError, KallbackError
from kallback.protocol.tokens import Attempt, TaskId
from kallback.workers.logs import guarded_logger

logger = guarded_logger(__name__)

_FETCH_TIMEOUT_S: Final = 1.0  # only how often an idle follower wakes up


class CancelMemory:
    """Cancels by task, bounded in number and age. A forgotten one means that work may be done in vain."""

    def __init__(self, kept: int, age: float, clock: Callable[[], float]) -> None:
        self._kept = kept
        self._age_ms = age * 1000
        self._clock = clock
        self._cancels: OrderedDict[TaskId, Cancel] = OrderedDict()

    def __len__(self) -> int:
        return len(self._cancels)

    def remember(self, cancel: Cancel) -> None:
        """Remember a cancel; one of several attempts of a task keeps the widest."""
        known = self._cancels.pop(cancel.task_id, None)
        self._cancels[cancel.task_id] = cancel if known is None else _widest(known, cancel)
        while self._cancels and (len(self._cancels) > self._kept or self._is_old(next(iter(self._cancels.values())))):
            self._cancels.popitem(last=False)

    def find(self, task_id: TaskId, attempt: Attempt) -> Cancel | None:
        """The cancel that covers an attempt, if there is one."""
        cancel = self._cancels.get(task_id)
        if cancel is None or self._is_old(cancel) or not cancel.covers(task_id, attempt):
            return None
        return cancel

    def _is_old(self, cancel: Cancel) -> bool:
        return cancel.at_ms < self._clock() * 1000 - self._age_ms


def _widest(known: Cancel, new: Cancel) -> Cancel:
    attempt = None if known.attempt is None or new.attempt is None else max(known.attempt, new.attempt)
    return dataclasses.replace(new, attempt=attempt, at_ms=max(known.at_ms, new.at_ms))


class CancelFollower:
    """Reads the control topic for as long as the worker runs.

    Args:
        open_reader: makes a new reader of the control topic.
        memory: is told first.
        on_cancel: is told next, to stop what runs.
        supervisor: runs it.
        backoff: between readers.
    """

    def __init__(
        self,
        open_reader: Callable[[], TopicReader],
        memory: CancelMemory,
        on_cancel: Callable[[Cancel], None],
        supervisor: Supervisor,
        backoff: Backoff,
    ) -> None:
        self._open_reader = open_reader
        self._memory = memory
        self._on_cancel = on_cancel
        self._supervisor = supervisor
        self._backoff = backoff
        self._caught_up = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when everything that the topic holds now is remembered.

        Raises:
            MissingTopicError, AccessDeniedError, KafkaUnavailableError: the topic cannot be read.
        """
        reader = self._open_reader()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(reader.stop)
            await reader.start()
            stack.pop_all()
        self._following = self._supervisor.run("cancels", self._follow_on(reader))
        await self._caught_up.wait()

    async def stop(self) -> None:
        """Stop following; twice is fine."""
        following, self._following = self._following, None
        if following is None:
            return
        following.cancel()
        await asyncio.wait({following})

    async def _follow_on(self, reader: TopicReader) -> None:
        failures = 0
        while True:
            try:
                async with contextlib.AsyncExitStack() as stack:
                    stack.push_async_callback(reader.stop)
                    if failures:
                        await reader.start()
                    failures = 0
                    await self._follow(reader)
            except KallbackError as error:
                logger.warning("the control topic cannot be read, cancels are not seen until it can: %s", error)
            except Exception:
                logger.exception("the control topic cannot be read, cancels are not seen until it can")
            failures += 1
            await asyncio.sleep(self._backoff.delay(failures))
            reader = self._open_reader()

    async def _follow(self, reader: TopicReader) -> None:
        while True:
            if reader.caught_up.is_set():
                self._caught_up.set()
            for record in await reader.fetch(_FETCH_TIMEOUT_S):
                self._take(record)

    def _take(self, record: Record) -> None:
        try:
            cancel = Cancel.decode(record.value)
        except InvalidControlError as error:
            logger.debug("%r skipped: %s", record, error)
            return
        self._memory.remember(cancel)
        self._on_cancel(cancel)
