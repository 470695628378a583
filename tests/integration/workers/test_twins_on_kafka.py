"""Two workers with one instance id: the younger one goes on, and nothing that the older one was doing is lost."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from kallback.kafka import ConsumerOptions, GroupProtocol
from kallback.protocol import InstanceIdTakenError
from kallback.workers import Client, Worker

if TYPE_CHECKING:
    from tests.integration.workers.environment import KafkaWorkerEnv

pytestmark = pytest.mark.integration


class CountingFilter(logging.Filter):
    """Counts log lines that say something."""

    def __init__(self, wanted: str) -> None:
        super().__init__()
        self.count = 0
        self._wanted = wanted

    def filter(self, record: logging.LogRecord) -> bool:
        """Count, and let through."""
        self.count += self._wanted in record.getMessage()
        return True


class Cook:
    """A worker with an instance id whose tasks named "slow" last until they may end."""

    def __init__(self, env: KafkaWorkerEnv, protocol: GroupProtocol = GroupProtocol.CLASSIC) -> None:
        self.begun: list[str] = []
        self.may_end = asyncio.Event()
        options = ConsumerOptions(
            group_instance_id="twin",
            group_protocol=protocol,
            drain_timeout=0.2,
            session_timeout=6,
            commit_interval=0.1,
        )
        self.worker: Worker = env.worker(consumer=options)
        self.worker.task(env.prepare)(self._cook)

    async def _cook(self, dish: str) -> str:
        self.begun.append(dish)
        if dish == "slow":
            await self.may_end.wait()
        return f"hot {dish}"


async def test_what_the_older_one_was_doing_has_its_result(env: KafkaWorkerEnv) -> None:
    """It finishes its tasks and ends with a sentence; what it did not commit is done by the younger one, too."""
    older, younger = Cook(env), Cook(env)
    running = asyncio.create_task(older.worker.run())
    await env.send("slow")
    await env.until(lambda: older.begun == ["slow"], "the older one to work")
    async with younger.worker:
        await env.until(lambda: younger.begun == ["slow"], "the younger one to take its place")
        older.may_end.set()
        with pytest.raises(InstanceIdTakenError, match="give each process its own"):
            await asyncio.wait_for(running, 60)
        assert await env.results(1) == ["slow"], "of the older one"
        younger.may_end.set()
        await env.send("next")
        assert await env.results(3) == ["next", "slow", "slow"]
        assert younger.begun == ["slow", "next"]


@pytest.mark.parametrize("client", [Client.CONFLUENT], indirect=True)
async def test_with_kip_848_the_younger_one_waits_for_the_older_one(env: KafkaWorkerEnv) -> None:
    """The broker refuses the younger one until the older one has gone, which works on undisturbed."""
    older, younger = Cook(env, GroupProtocol.CONSUMER), Cook(env, GroupProtocol.CONSUMER)
    refusals = CountingFilter("is still used by another member")
    logging.getLogger("kallback.workers.intake.consumer_supervisor").addFilter(refusals)
    try:
        async with older.worker:
            await env.send("slow")
            await env.until(lambda: older.begun == ["slow"], "the older one to work")
            running = asyncio.create_task(younger.worker.run())
            await env.until(lambda: refusals.count > 1, "the younger one to be refused, and to try again")
            older.may_end.set()
            await env.send("next")
            assert await env.results(2) == ["next", "slow"]
        await env.send("last")
        assert await env.results(3) == ["last", "next", "slow"]
        assert (older.begun, younger.begun) == (["slow", "next"], ["last"])
    finally:
        logging.getLogger("kallback.workers.intake.consumer_supervisor").removeFilter(refusals)
        await younger.worker.stop()
    await running
