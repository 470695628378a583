"""Workers that are killed, with the defaults that users have: the next attempt does not wait for their partitions."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.integration.end_to_end.environment import TaskPath, open_task_path
from tests.integration.end_to_end.killed_work import render
from tests.integration.end_to_end.worker_processes import PATIENCE_S, WorkerProcesses, worker_processes

from kallback.bridge import Bridge
from kallback.bridge.stats import ProgressOutcome
from kallback.settings import Topics
from kallback.testing import Stack, TopicFactory, eventually

pytestmark = pytest.mark.integration

PARTITIONS = 12
ROUNDS = int(os.environ.get("KILL_ROUNDS", "2"))
"""A measurement sets more of them."""
BEAT_S = float(os.environ.get("HEARTBEAT_EVERY", "1"))
"""A measurement may set another one; above some seconds the session of the killed worker ends before the loss."""


async def test_the_next_attempt_of_a_killed_worker_begins_at_another_one(
    kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory
) -> None:
    """Its partitions are still its own when that begins; no attempt is spent on them, the details are the last ones."""
    topics_factory.make([name := f"{topic_names.prefix}render"], partitions=PARTITIONS)
    async with AsyncExitStack() as until:
        task_type = replace(render, name=name, topic=name, heartbeat_every=timedelta(seconds=BEAT_S))
        path = await open_task_path(kallback_stack, topic_names, topics_factory, until, task_type)
        await until.enter_async_context(Bridge(path.settings))
        workers = await until.enter_async_context(worker_processes(path, "killed_work"))
        await workers.start()
        delays: list[float] = []
        for _ in range(ROUNDS):
            await workers.start()
            await workers.shared_out(PARTITIONS)
            delays.append(await kill_the_busy_one(path, workers))
        print(f"seconds until the next attempt began: {[round(delay, 2) for delay in delays]}")  # noqa: T201 - measured


async def test_a_record_that_comes_again_before_the_loss_is_noticed_is_not_begun_anew(
    kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory
) -> None:
    """The session of the killed worker ends long before its heartbeats are missed: the progress is not lost."""
    topics_factory.make([name := f"{topic_names.prefix}render"], partitions=PARTITIONS)
    async with AsyncExitStack() as until:
        every = timedelta(seconds=8)
        task_type = replace(render, name=name, topic=name, heartbeat_every=every)
        path = await open_task_path(kallback_stack, topic_names, topics_factory, until, task_type)
        bridge = await until.enter_async_context(Bridge(path.settings))
        chosen = {"HEARTBEAT_EVERY": str(every.total_seconds()), "SESSION_TIMEOUT": "6"}
        workers = await until.enter_async_context(worker_processes(path, "killed_work", **chosen))
        await workers.start()
        await workers.start()
        await workers.shared_out(PARTITIONS)
        seen = workers.seen()
        call = asyncio.create_task(path.call("a film", timeout=100))
        busy, _, _ = await workers.next_begun(seen)
        told = bridge.stats.progress
        await eventually("details", lambda: told[ProgressOutcome.FORWARDED] > 1, timeout=PATIENCE_S)
        seen = workers.seen()
        busy.process.kill()
        _, _, (attempt, _) = await workers.next_begun(seen)
        assert attempt == 2
        assert int(await call) > 0


async def kill_the_busy_one(path: TaskPath, workers: WorkerProcesses) -> float:
    """One round; return the seconds from the kill to the begin of the next attempt."""
    seen = workers.seen()
    call = asyncio.create_task(path.call("a film"))
    busy, _, begun = await workers.next_begun(seen)
    assert begun == [1, PARTITIONS // 2]
    await asyncio.sleep(2 * BEAT_S)  # it works for a while
    seen = workers.seen()
    busy.process.kill()
    killed_at = time.monotonic()
    _, begun_at, begun = await workers.next_begun(seen)
    assert begun == [2, PARTITIONS // 2 if BEAT_S == 1 else PARTITIONS]
    assert int(await call) > 0
    await busy.ended()
    return begun_at - killed_at
