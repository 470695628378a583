"""Places tasks at a steady rate, whatever is broken, and learns how each ended.

A task is placed with an idempotency key, again and again until Restate has taken it: so it runs exactly once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import httpx
import msgspec

from chaos.work import Job, Report, service_of
from kallback.testing import RestateError
from kallback.testing.clients.restate import Ingress

_PAUSE: Final = 0.3
_AT_ONCE: Final = 32
_NOT_READY: Final = 470
_CLIENT_FAULT: Final = range(400, 429)


@dataclass(frozen=True, slots=True)
class Placed:
    """A task that Restate has taken.

    Attributes:
        began: when it was first tried, epoch seconds.
        taken: when Restate said so.
    """

    number: int
    invocation_id: str
    began: float
    taken: float


class Load:
    """The customers of a team.

    Args:
        jobs: in the order in which they are placed.
        rate: of them, a second.
        team: what the names of the team begin with.
    """

    def __init__(self, ingress: Ingress, jobs: Sequence[Job], rate: float, team: str = "") -> None:
        self._ingress = ingress
        self._jobs = jobs
        self._rate = rate
        self._service = service_of(team)
        self._gate = asyncio.Semaphore(_AT_ONCE)  # a crowd at httpx's pool would take all of this process's time
        self.placed: dict[int, Placed] = {}

    async def place_all(self, began: float) -> None:
        """Place every task at its time; return when Restate has them all."""
        async with asyncio.TaskGroup() as group:
            for job in self._jobs:
                delay = began + job.number / self._rate - asyncio.get_running_loop().time()
                await asyncio.sleep(max(0.0, delay))
                group.create_task(self._place(job))

    async def _place(self, job: Job) -> None:
        began = time.time()
        key, body = f"{self._service}-{job.number}", msgspec.to_builtins(job)
        while True:
            try:
                async with self._gate:
                    invocation_id = await self._ingress.send(f"{self._service}/run_task", body, idempotency_key=key)
            except RestateError as error:
                if error.status in _CLIENT_FAULT:
                    raise
            except httpx.HTTPError:
                pass
            else:
                self.placed[job.number] = Placed(job.number, invocation_id, began, time.time())
                return
            await asyncio.sleep(_PAUSE)

    async def reports(self) -> dict[int, Report | str]:
        """What became of each placed task: its report, or a sentence about why there is none."""

        async def ask(placed: Placed) -> Report | str:
            async with self._gate:
                return await self._output(placed.invocation_id)

        answers = await asyncio.gather(*(ask(placed) for placed in self.placed.values()))
        return dict(zip(self.placed, answers, strict=True))

    async def _output(self, invocation_id: str) -> Report | str:
        try:
            return msgspec.convert(await self._ingress.output(invocation_id), Report)
        except RestateError as error:
            return "it is not done" if error.status == _NOT_READY else f"the handler failed: {error}"
