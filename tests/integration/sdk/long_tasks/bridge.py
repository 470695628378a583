"""The bridge's side of long tasks, simulated: what it reads of them, and up to when it has read its topics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from tests.integration.sdk.environment import SdkEnv

from kallback.kafka import Record
from kallback.protocol import Heard, Marks, Signal, TaskHeaders
from kallback.testing import eventually


@dataclass(slots=True)
class SimulatedBridge:
    """Posts what a bridge would post."""

    env: SdkEnv

    @staticmethod
    def now_ms() -> int:
        """The bridge's clock."""
        return int(time.time() * 1000)

    @property
    def topics(self) -> tuple[str, str]:
        """Those whose marks count."""
        return self.env.settings.topics.progress, self.env.settings.topics.results

    async def hears(
        self, task: Record, signal: Signal = Signal.HEARTBEAT, details: bytes = b"", partitions: str = ""
    ) -> None:
        """Report a heartbeat, now."""
        headers = TaskHeaders.decode(task.headers)
        heard = Heard(headers.token, signal, self.now_ms(), self.now_ms(), msgspec.Raw(details), partitions)
        await self.post(f"{self.env.services.monitor}/{headers.task_id}/progress/send", heard)

    async def read(self, up_to_ms: int | None = None, *, topics: tuple[str, ...] = (), partitions: int = 1) -> None:
        """Report that partition 0 of the topics was read up to now; `partitions` is what there are."""
        for topic in topics or self.topics:
            await self.post(
                f"{self.env.services.marks}/{topic}/report", Marks(partitions, {0: up_to_ms or self.now_ms()})
            )

    @asynccontextmanager
    async def reporting(self) -> AsyncGenerator[None]:
        """Report all the time, as a bridge does that is available."""
        over = asyncio.Event()

        async def report() -> None:
            while not over.is_set():
                await self.read()
                await asyncio.sleep(0.05)

        task = asyncio.create_task(report())
        try:
            yield
        finally:
            over.set()  # not cancelled: a report that nobody serves any more would block its key for the next test
            await task

    async def post(self, path: str, body: msgspec.Struct) -> None:
        """Post to the ingress."""
        url = f"{self.env.stack.ingress_url}/{path}"
        answer = await self.env.http.post(
            url, content=msgspec.json.encode(body), headers={"content-type": "application/json"}
        )
        assert answer.status_code in {200, 202, 204}, answer.text

    async def state(self, task_id: str) -> list[dict[str, Any]]:
        """What Restate keeps of a task."""
        return await self.env.admin.query(f"SELECT * FROM state WHERE service_key = '{task_id}'")

    async def gone(self, task_id: str) -> None:
        """Wait until nothing is kept of it."""

        async def empty() -> bool:
            return not await self.state(task_id)

        await eventually("a state that is gone", empty)

    async def alarms(self, task_id: str) -> int:
        """How many alarms of a task have been set and not yet gone off."""
        sql = (
            f"SELECT id FROM sys_invocation WHERE target_service_name = '{self.env.services.monitor}' AND "
            f"target_handler_name = 'alarm' AND target_service_key = '{task_id}'"
        )
        return len(await self.env.admin.query(sql))
