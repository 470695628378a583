"""Does what the plan says: each fault in a task of its own, at its time, and undoes it.

A fault waits until the one before it on the same kind of process is over: on a busy machine a server may take longer to
come back than the plan has it. Every fault leaves an `Outage`: when what could not be had. Checks excuse with it what
happens to short time-outs.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from chaos.plan import Action, Fault, Target
from chaos.stage import Stage
from kallback.testing.servers.base import Server
from kallback.testing.servers.processes import ChildProcess

_BEGINS_WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Outage:
    """When something was away, in epoch seconds; `ended` is when it answered again."""

    target: Target
    began: float
    ended: float


class FaultRunner:
    """Breaks a stage by a plan.

    Attributes:
        done: faults so far, by what they are called.
        outages: those that are over.
        interrupted: the long task of the second team in whose middle its worker was killed.

    Args:
        long_jobs: numbers of the second team's long tasks.
    """

    def __init__(self, stage: Stage, long_jobs: frozenset[int], say: Callable[[str], None]) -> None:
        self._stage = stage
        self._say = say
        self._long_jobs = long_jobs
        self.interrupted: int | None = None
        self.done: Counter[str] = Counter()
        self.outages: list[Outage] = []
        self._turns: defaultdict[tuple[bool, Target], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def play(self, faults: tuple[Fault, ...], began: float) -> None:
        """Return when every fault is undone. `began` is when second 0 was, on the loop's clock."""
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(self._at(fault, began))

    async def _at(self, fault: Fault, began: float) -> None:
        await asyncio.sleep(began + fault.at - asyncio.get_running_loop().time())
        async with self._turns[fault.action is Action.SCALE, fault.target]:
            since = time.time()
            await self._commit(fault)
        self.outages.append(Outage(fault.target, since, time.time()))

    async def _commit(self, fault: Fault) -> None:
        servers = {Target.RESTATE: self._stage.stack.restate, Target.BROKER: self._stage.stack.kafka}
        match fault.action:
            case Action.SCALE:
                self._note(fault, f"scale to {fault.pick} bridges")
                await self._stage.scale(fault.pick)
            case _ if fault.target is Target.SECOND_WORKER:
                await self._interrupt_second_team(fault)
            case Action.DEPLOY:
                await self._deploy(fault, self._processes(fault.target))
            case Action.PAUSE if fault.target in servers:
                await self._freeze_server(fault, servers[fault.target])
            case Action.KILL if fault.target in servers:
                await self._kill_server(fault, servers[fault.target])
            case _:
                await self._hit(fault, self._processes(fault.target))

    def _processes(self, target: Target) -> list[ChildProcess]:
        stage = self._stage
        kinds = {
            Target.BRIDGE: stage.bridges,
            Target.WORKER: stage.workers,
            Target.SERVICE: (stage.service,),
            Target.SECOND_WORKER: (stage.second.worker,),
        }
        return stage.running(kinds[target])

    async def _kill_server(self, fault: Fault, server: Server) -> None:
        self._note(fault, f"{fault.action} {fault.target}")
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(fault.seconds)
        began = time.monotonic()
        await asyncio.to_thread(server.start)
        self._say(f"{fault.target} answers again, {time.monotonic() - began:.1f} s after its start")

    async def _freeze_server(self, fault: Fault, server: Server) -> None:
        """Let requests hang instead of failing: connections stay open, nothing is answered."""
        self._note(fault, f"{fault.action} {fault.target} for {fault.seconds:g} s")
        server.pause()
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            server.resume()

    async def _deploy(self, fault: Fault, processes: list[ChildProcess]) -> None:
        """Stop each process as an orchestrator does, and start it again, one after the other."""
        self._note(fault, f"{fault.action} {fault.target}: {len(processes)} processes, one after the other")
        for process in processes:
            await self._stage.redeploy(process)

    async def _interrupt_second_team(self, fault: Fault) -> None:
        """Hit its worker as soon as that is in the middle of a long task."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_BEGINS_WITHIN_S):
                self.interrupted = await self._stage.second.at_work(self._long_jobs)
        await self._hit(fault, self._processes(fault.target))

    async def _hit(self, fault: Fault, candidates: list[ChildProcess]) -> None:
        process = candidates[fault.pick % len(candidates)]
        self._note(fault, f"{fault.action} {process.name} for {fault.seconds:g} s")
        with self._stage.taken_over(process) as restore:
            if fault.action is Action.PAUSE:
                process.pause()
            else:
                await asyncio.to_thread(process.kill)
            try:
                await asyncio.sleep(fault.seconds)
            finally:
                process.resume()
                restore()

    def _note(self, fault: Fault, sentence: str) -> None:
        label = f"{fault.action} {fault.target}" if fault.action is not Action.SCALE else f"scale to {fault.pick}"
        self.done[label] += 1
        self._say(sentence)
