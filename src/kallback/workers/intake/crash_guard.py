"""Records that crash the whole process: their starts are recorded, and at the last chance they run apart from others.

A record that crashed processes is delivered again with the number of its starts. Commits carry the starts; they
happen on a timer, so a record that crashes its process at once is not among them. But it comes again soon after the
next start, behind what the dead process had not committed either. The consumer knows whether the last owner of a
partition died (`Consumer.must_commit_start`), and `is_recorded_first` says which attempts wait until their start is
committed, fetched ones and those that were held behind another record of their key, or a full type.

At its last chance a record runs apart from others, so that none is parked for another one's fault: it begins when no
other task function runs that began lately (`Isolation` says when), and for its first seconds nothing begins beside it.

Owned by the worker's loop. Order: the record keeps its turn within its key. Cancelled, it leaves the scheduler running.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from kallback.kafka import Record
from kallback.lifecycle import Supervisor
from kallback.workers.intake.isolation import Isolation, Step
from kallback.workers.intake.scheduler import Scheduler

_LOOK_INTERVAL_S: Final = 0.05
_APART_FOR_S: Final = 10.0  # most crashes come at once; longer would stop the others for a long task


class CrashGuard:
    """Records starts, and says when a record at its last chance runs.

    Args:
        commit: commits what is settled and what has started.
        must_commit: whether the start of a record has to be committed, whatever happens beside it.
        scheduler: holds the records at their last chance, and is paused for them.
        ages: seconds for which each task function has run.
        run_apart: starts the next record at its last chance; returns what ends with it, None if there is none any more.
        start_held: starts what the scheduler lets begin.
        supervisor: runs the commits of starts that come alone.
        commit_interval: seconds between commits by the clock: an attempt that ran for so long had its start committed.
    """

    def __init__(
        self,
        commit: Callable[[], Awaitable[None]],
        must_commit: Callable[[Record], bool],
        scheduler: Scheduler[Any],
        ages: Callable[[float], Sequence[float]],
        run_apart: Callable[[], asyncio.Task[None] | None],
        start_held: Callable[[], object],
        supervisor: Supervisor,
        commit_interval: float,
    ) -> None:
        self._commit: Final = commit
        self._must_commit: Final = must_commit
        self._scheduler: Final = scheduler
        self._ages: Final = ages
        self._run_apart: Final = run_apart
        self._start_held: Final = start_held
        self._supervisor: Final = supervisor
        self._commit_interval: Final = commit_interval
        self._suspect_waits: Final = asyncio.Event()
        self._next_commit: asyncio.Event | None = None
        """Set when the next commit of starts is over; None if none is due."""
        self._turn: Final = asyncio.Lock()
        self._follows_recorded = False

    def recorded(self, record: Record) -> asyncio.Event | None:
        """Return what is set when the start of an attempt, which begins now, is committed; None if it need not be."""
        in_doubt = self._must_commit(record)
        if not is_recorded_first(record.deliveries, in_doubt=in_doubt, follows_recorded=self._follows_recorded):
            return None
        if self._next_commit is None:
            self._next_commit = asyncio.Event()
            self._supervisor.run_once("the commit of starts", self._commit_starts(self._next_commit))
        return self._next_commit

    def ended(self, record: Record, seconds: float) -> None:
        """Take note that an attempt has ended, which ran for so long."""
        if record.deliveries > 1 or seconds >= self._commit_interval:
            self._follows_recorded = True

    async def _commit_starts(self, recorded: asyncio.Event) -> None:
        try:
            async with self._turn:
                self._next_commit = None  # what starts or ends from now on may miss this one
                self._follows_recorded = False
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
        """Wait until no other task function runs that began lately; nothing begins any more then.

        The wait also ends when no record is left to run apart: they may go to another worker meanwhile.
        """
        isolation = Isolation()
        while self._scheduler.has_apart:
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
            attempt = self._run_apart()
            if attempt is not None:
                await asyncio.wait({attempt}, timeout=_APART_FOR_S)
        finally:
            self._resume()

    def _resume(self) -> None:
        self._scheduler.resume()
        self._start_held()


def is_recorded_first(deliveries: int, *, in_doubt: bool, follows_recorded: bool) -> bool:
    """Return whether an attempt waits until its start is committed.

    Args:
        deliveries: how often its record is started, this time included. Processes have died after the earlier ones.
        in_doubt: it is the first one of an assignment, or begins soon after the partition's last owner has died, when
            records come again that crash at once.
        follows_recorded: an attempt has ended since the last commit, and its start is probably committed. If the
            process dies now, only that one would count a delivery, and be parked at last for what begins after it.
    """
    return in_doubt or follows_recorded or deliveries > 1
