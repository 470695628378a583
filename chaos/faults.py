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
from dataclasses import dataclass

from chaos.plan import Action, Fault, Target
from chaos.stage import Stage
from kallback.testing.servers.base import Server
from kallback.testing.servers.processes import ChildProcess


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
    """

    def __init__(self, stage: Stage, say: Callable[[str], None]) -> None:
        self._stage = stage
        self._say = say
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
        stage = self._stage
        match fault.target:
            case Target.BRIDGE if fault.action is Action.SCALE:
                self._note(fault, f"scale to {fault.pick} bridges")
                await stage.scale(fault.pick)
            case Target.RESTATE if fault.action is Action.PAUSE:
                await self._freeze_server(fault, stage.stack.restate)
            case Target.RESTATE:
                await self._kill_server(fault, stage.stack.restate)
            case Target.BROKER:
                await self._kill_server(fault, stage.stack.kafka)
            case Target.BRIDGE:
                await self._hit(fault, stage.running(stage.bridges))
            case Target.WORKER:
                await self._hit(fault, stage.running(stage.workers))
            case Target.SERVICE:
                await self._hit(fault, [stage.service])

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
