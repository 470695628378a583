"""One run from start to verdict: load and faults side by side, then a drain with a deadline, then the evidence."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from chaos import collect
from chaos.evidence import Evidence, GroupProgress, Shutdown
from chaos.faults import FaultRunner
from chaos.injector import Injector
from chaos.load import Load
from chaos.plan import SECOND_RATE, Plan
from chaos.stage import Stage, open_stage
from chaos.work import IDLE, SECOND_TEAM, Kind
from kallback.protocol import KallbackError
from kallback.testing import KafkaOptions, RestateOptions, Stack, start_stack

DRAIN: Final = 90.0
"""Seconds that everything gets to end after the last task was placed."""
_POLL_S: Final = 0.5
_LAST_CHILDREN: Final = 5.0
"""Seconds in which what a process started for itself ends after it, such as Python's resource tracker."""
_SERVER_LOGS: Final = ("kafka.log", "restate.log")


@dataclass(frozen=True, slots=True)
class RunReport:
    """What was done, besides what became of it."""

    faults: Counter[str]
    evidence: Evidence


def perform(plan: Plan, directory: Path, say: Callable[[str], None]) -> RunReport:
    """Play a plan on servers of its own; logs go to the directory."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("KALLBACK_TEST_")}
    suspend_soon = RestateOptions(configuration={"worker.invoker.inactivity-timeout": f"{IDLE}s"})
    with start_stack(KafkaOptions(embedded=False), suspend_soon, environ=own) as stack:
        try:
            return asyncio.run(_perform(plan, stack, directory, say))
        finally:
            _copy_server_logs(stack, directory)


async def _perform(plan: Plan, stack: Stack, directory: Path, say: Callable[[str], None]) -> RunReport:
    async with open_stage(stack, directory, completer=plan.completer, named=plan.named) as stage:
        load, injector = Load(stage.ingress, plan.jobs, plan.rate), Injector(stage.settings, plan)
        second = Load(stage.ingress, plan.second_jobs, SECOND_RATE, SECOND_TEAM)
        long_jobs = frozenset(job.number for job in plan.second_jobs if job.kind is Kind.LONG)
        faults = FaultRunner(stage, long_jobs, say)
        await injector.start()
        try:
            began = asyncio.get_running_loop().time()
            async with asyncio.TaskGroup() as group:
                group.create_task(load.place_all(began))
                group.create_task(second.place_all(began))
                group.create_task(faults.play(plan.faults, began))
                group.create_task(injector.write_backlog(plan.backlog, began))
            say("every task is placed, every fault is over; draining")
            await _drain(stage, injector)
        finally:
            await injector.stop()
        return RunReport(faults.done, await _collect(stage, load, second, faults))


async def _drain(stage: Stage, injector: Injector) -> None:
    """Wait for everything to end by itself; whatever has not by the deadline is for the checks to tell."""
    deadline = time.monotonic() + DRAIN

    async def no_handler_waits() -> bool:
        return not await collect.unfinished(stage)

    async def nothing_late_to_come() -> bool:
        return injector.waiting == 0

    async def all_committed() -> bool:
        return all(max(each.committed, 0) == each.end for each in await _progress(stage))

    for ended in (no_handler_waits, nothing_late_to_come, all_committed):
        await _until(ended, deadline)


async def _until(true: Callable[[], Awaitable[bool]], deadline: float) -> None:
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError, KallbackError):
            if await true():
                return
        await asyncio.sleep(_POLL_S)


async def _progress(stage: Stage) -> list[GroupProgress]:
    """Of both teams."""
    second = await collect.progress(stage.second.settings, SECOND_TEAM)
    return [*await collect.progress(stage.settings), *second]


async def _collect(stage: Stage, load: Load, second: Load, faults: FaultRunner) -> Evidence:
    """The positions that were committed before anybody was asked to end: a stop commits, too."""
    settings = stage.settings
    progress, unfinished = await _progress(stage), await collect.unfinished(stage)
    reports, of_second = await load.reports(), await second.reports()
    memory, crashes = tuple(stage.memory), tuple(stage.crashes)
    exit_codes = [*stage.deployed, *await stage.retire()]
    shutdown = Shutdown(exit_codes, await _orphans(stage), collect.complaints(stage.directory))
    return Evidence(
        placed=load.placed,
        reports=reports,
        observations=collect.observations(stage.directory),
        starts=collect.starts(stage.directory),
        runs=collect.runs(stage.directory),
        attempts=collect.attempts(stage.directory),
        results=await collect.results(settings, reports),
        outcomes=await collect.outcomes(settings),
        dead_letters=await collect.dead_letters(settings),
        progress=progress,
        outages=faults.outages,
        crashes=crashes,
        memory=memory,
        unfinished=unfinished,
        shutdown=shutdown,
        second=await collect.second_team(stage.second, of_second, faults.interrupted),
    )


async def _orphans(stage: Stage) -> list[str]:
    """Process groups of ours that are still there some seconds after all of them were ended."""

    async def none_left() -> bool:
        return not _groups_left(stage)

    await _until(none_left, time.monotonic() + _LAST_CHILDREN)
    return _groups_left(stage)


def _groups_left(stage: Stage) -> list[str]:
    left: list[str] = []
    for pid, name in stage.pids.items():
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, 0)
            left.append(f"{name} (process group {pid})")
    return left


def _copy_server_logs(stack: Stack, directory: Path) -> None:
    for server in (stack.kafka, stack.restate):
        tree = getattr(server, "directory", None)
        for name in _SERVER_LOGS:
            if isinstance(tree, Path) and (tree / name).exists():
                shutil.copy(tree / name, directory / name)
