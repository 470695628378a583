"""Records that crash the whole process: their starts are recorded, and at the last chance they run apart from others.

A record that crashed processes is delivered again with the number of its starts. Commits carry the starts; they
happen on a timer, so a record that crashes its process at once is not among them. But it is the first that comes after
the next start: so the first attempts of an assignment wait until their start is committed.

At its last chance a record runs apart from others, so that none is parked for another one's fault: it begins when no
other task function runs that began lately (`Isolation` says when), and for its first seconds nothing begins beside it.

Owned by the worker's loop. Order: the record keeps its turn within its key. Cancelled, it leaves the scheduler running.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Final

from kallback.kafka import Record
from kallback.workers.intake.isolation import Isolation, Step
from kallback.workers.intake.scheduler import Scheduler

_LOOK_INTERVAL_S: Final = 0.05
_APART_FOR_S: Final = 10.0  # most crashes come at once; longer would stop the others for a long task


class CrashGuard:
    """Records starts, and says when a record at its last chance runs.

    Args:
        commit: commits what is settled and what has started.
        scheduler: holds the records at their last chance, and is paused for them.
        ages: seconds for which each task function has run.
        run_apart: starts the next record at its last chance; returns what ends with it, None if there is none any more.
        start_held: starts what the scheduler lets begin.
    """

    def __init__(
        self,
        commit: Callable[[], Awaitable[None]],
        scheduler: Scheduler[Any],
        ages: Callable[[float], Sequence[float]],
        run_apart: Callable[[], asyncio.Task[None] | None],
        start_held: Callable[[], object],
    ) -> None:
        self._commit: Final = commit
        self._scheduler: Final = scheduler
        self._ages: Final = ages
        self._run_apart: Final = run_apart
        self._start_held: Final = start_held
        self._epochs: Final = dict[tuple[str, int], int]()
        self._suspect_waits: Final = asyncio.Event()
        self.recorded = _set_event()
        """Set when the starts until now are committed, where that matters."""

    @contextlib.asynccontextmanager
    async def recording(self, records: Sequence[Record]) -> AsyncGenerator[None]:
        """Commit the starts of attempts that begin in the body, if they are the first of an assignment."""
        if self._are_first(records):
            async with self._recording_starts():
                yield
        else:
            yield

    @contextlib.asynccontextmanager
    async def _recording_starts(self) -> AsyncGenerator[None]:
        self.recorded = recorded = asyncio.Event()
        try:
            yield
            await self._commit()
        finally:
            recorded.set()  # also at the end of fetching: what waits for it is to be drained

    def notice_suspect(self) -> None:
        """A record at its last chance waits in the scheduler, or will when its turn within its key comes."""
        self._suspect_waits.set()

    async def run(self) -> None:
        """Run records at their last chance, one after the other, until cancelled."""
        try:
            while True:
                await self._suspect_waits.wait()
                self._suspect_waits.clear()
                while self._scheduler.has_apart:
                    await self._moment()
                    await self._run_next()
        finally:
            self._scheduler.resume()

    async def _moment(self) -> None:
        """Wait until no other task function runs that began lately; nothing begins any more then."""
        isolation = Isolation()
        while True:
            now = time.monotonic()
            match isolation.step(now, self._ages(now)):
                case Step.RUN:
                    self._scheduler.pause()
                    return
                case Step.HOLD:
                    self._scheduler.pause()
                case Step.RESUME:
                    self._resume()
                case Step.WAIT:
                    pass
            await asyncio.sleep(_LOOK_INTERVAL_S)

    async def _run_next(self) -> None:
        try:
            async with self._recording_starts():
                attempt = self._run_apart()
            if attempt is not None:
                await asyncio.wait({attempt}, timeout=_APART_FOR_S)
        finally:
            self._resume()

    def _resume(self) -> None:
        self._scheduler.resume()
        self._start_held()

    def _are_first(self, records: Sequence[Record]) -> bool:
        epochs = {(record.topic, record.partition): record.epoch for record in records}
        first = any(self._epochs.get(partition) != epoch for partition, epoch in epochs.items())
        self._epochs.update(epochs)
        return first


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
