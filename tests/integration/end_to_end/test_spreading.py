"""Tasks without a key go to all workers alike: nobody waits while another one is idle."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from tests.integration.end_to_end.environment import open_task_path

from kallback.bridge import Bridge
from kallback.protocol import TaskType
from kallback.settings import Topics
from kallback.testing import Stack, TopicFactory, eventually
from kallback.workers import Worker, WorkerOptions

pytestmark = pytest.mark.integration

PARTITIONS = 12
WORKERS = 4
TASKS = 200
WORK_S = float(os.environ.get("WORK_S", "0.02"))
"""A measurement sets more."""


async def test_tasks_of_many_handlers_are_shared_out_within_a_tenth(
    kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory
) -> None:
    """Four workers with one slot each do 200 tasks of 200 handlers; none does more than a tenth above its share."""
    topics_factory.make([name := f"{topic_names.prefix}spread"], partitions=PARTITIONS)
    task_type = TaskType(name, request=str, result=str)

    async def work(text: str) -> str:
        await asyncio.sleep(WORK_S)
        return text

    async with AsyncExitStack() as until:
        path = await open_task_path(kallback_stack, topic_names, topics_factory, until, task_type)
        await until.enter_async_context(Bridge(path.settings))
        group = f"spread-{uuid4().hex[:8]}"
        workers = [Worker(group, settings=path.settings, options=WorkerOptions(concurrency=1)) for _ in range(WORKERS)]
        for worker in workers:
            worker.task(task_type)(work)
            await until.enter_async_context(worker)
        await eventually("a share for each", lambda: all(map(has_its_share, workers)))
        began = time.monotonic()
        await asyncio.gather(*(path.call(str(number), timeout=100) for number in range(TASKS)))
        took, ideal = time.monotonic() - began, TASKS * WORK_S / WORKERS
        done = sorted(worker.counts.completed for worker in workers)
        print(f"{took:.1f} s, {ideal:.1f} s at best; tasks by worker: {done}")  # noqa: T201 - measured
    assert sum(done) == TASKS
    assert max(done) <= 1.1 * TASKS / WORKERS


def has_its_share(worker: Worker) -> bool:
    """Whether a worker has its part of the partitions."""
    status = worker.group_status()
    return status is not None and len(status.partitions) == PARTITIONS // WORKERS
