"""The follower of the control topic, from which the worker learns of cancels.

Every process reads the whole control topic without a group, to its end before tasks start, then onwards: a cancel
can overtake its task, and a worker that joins later must not do what was cancelled before. The follower is the
only writer of the memory and runs on the worker's loop, so a reader on that loop never sees a half-read batch.

Losing the control topic stops no work: cancels are best effort by nature, the caller is gone either way. But the
worker is not ready meanwhile, and says why. The follower opens a new reader, which reads everything again; remembering
a cancel twice changes nothing. It does so ever more slowly if the new one fails like the old one, and during the start
for a bounded time. A codec that is not installed ends the worker, as one of a task topic does.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from kallback.kafka import Record, TopicReader
from kallback.lifecycle import Backoff, Supervisor
from kallback.protocol.controls import Cancel
from kallback.protocol.errors import AccessDeniedError, InvalidControlError, KallbackError, MissingExtraError
from kallback.workers.cancel_memory import CancelMemory
from kallback.workers.logs import guarded_logger

logger = guarded_logger(__name__)

_RECORDS_AT_ONCE: Final = 100  # about 5 ms of the loop
_START_TIMEOUT_S: Final = 20.0  # for readers that fail before the end; a reader that reads has all the time
_LASTING_S: Final = 60.0  # a reader that fails earlier fails like the one before it, as consumers of groups do
_FETCH_TIMEOUT_S: Final = 1.0  # only how often an idle follower wakes up


class ControlOutcome(StrEnum):
    """What became of a record of the control topic; labels of a metric."""

    CANCEL = "cancel"
    """It is remembered."""
    INVALID = "invalid"
    """It is no control record."""
    UNREADABLE = "unreadable"
    """It stands for records that no client can read."""


class CancelFollower:
    """Reads the control topic for as long as the worker runs.

    Args:
        open_reader: makes a new reader of the control topic.
        memory: is told first.
        on_cancel: is told next, to stop what runs.
        supervisor: runs it.
        backoff: between readers.

    Attributes:
        counts: records by their outcome; those that are read again count again.
        unread: why the topic is not read now; None while it is.
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
        self.counts: Final = Counter[str]({outcome.value: 0 for outcome in ControlOutcome})
        self.unread: str | None = None
        self._caught_up = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._reader: TopicReader | None = None

    async def start(self) -> None:
        """Return when everything that the topic holds now is remembered.

        Raises:
            MissingTopicError, AccessDeniedError, KafkaUnavailableError: the topic cannot be read, or not to its end.
        """
        reader = self._open_reader()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(reader.stop)
            await reader.start()
            stack.pop_all()
        self._reader = reader
        self._following = following = self._supervisor.run("cancels", self._follow_on(reader))
        caught_up = asyncio.create_task(self._caught_up.wait(), name="kallback-caught-up")
        try:
            await asyncio.wait({following, caught_up}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            caught_up.cancel()
        if not self._caught_up.is_set():
            following.result()  # raises: it ended first

    async def stop(self) -> None:
        """Stop following; twice is fine."""
        following, self._following = self._following, None
        if following is None:
            return
        following.cancel()
        try:
            await asyncio.wait({following})
        finally:
            if self._reader is not None:  # a task that is cancelled before its first step stops none
                await self._reader.stop()

    async def _follow_on(self, reader: TopicReader) -> None:
        failures, give_up_at = 0, time.monotonic() + _START_TIMEOUT_S
        while True:
            reads_from = math.inf
            try:
                async with contextlib.AsyncExitStack() as stack:
                    stack.push_async_callback(reader.stop)
                    if failures:
                        await reader.start()
                    reads_from = time.monotonic()
                    await self._follow(reader)
            except (AccessDeniedError, MissingExtraError):
                raise  # withdrawn, or a codec that is not installed: the worker ends with its sentence
            except KallbackError as error:
                if not self._caught_up.is_set() and time.monotonic() > give_up_at:
                    raise
                self.unread = str(error)
                logger.warning("the control topic cannot be read, cancels are not seen until it can: %s", error)
            except Exception as error:
                self.unread = repr(error)
                logger.exception("the control topic cannot be read, cancels are not seen until it can")
            failures = 1 if time.monotonic() - reads_from > _LASTING_S else failures + 1
            await asyncio.sleep(self._backoff.delay(failures))
            self._reader = reader = self._open_reader()

    async def _follow(self, reader: TopicReader) -> None:
        while True:
            if reader.caught_up.is_set():
                self.unread = None
                self._caught_up.set()
            records = await reader.fetch(_FETCH_TIMEOUT_S)
            for number, record in enumerate(records, start=1):
                self._take(record)
                if number % _RECORDS_AT_ONCE == 0:
                    await asyncio.sleep(0)  # a flood of cancels does not hold the loop
            await asyncio.sleep(0)  # nor do fetches that need not wait

    def _take(self, record: Record) -> None:
        if record.unreadable is not None:
            self.counts[ControlOutcome.UNREADABLE] += 1
            return
        try:
            cancel = Cancel.decode(record.value)
        except InvalidControlError as error:
            self.counts[ControlOutcome.INVALID] += 1
            logger.debug("%r skipped: %s", record, error)
            return
        self.counts[ControlOutcome.CANCEL] += 1
        self._memory.remember(cancel)
        self._on_cancel(cancel)
