"""Deployments during one long task: each worker that stops hands the attempt back, and the next one continues."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.end_to_end.deployed_work import FRAME_S, render
from tests.integration.end_to_end.environment import open_task_path
from tests.integration.end_to_end.worker_processes import WorkerProcesses, worker_processes

from kallback.bridge import Bridge
from kallback.settings import Topics
from kallback.testing import Stack, TopicFactory

pytestmark = pytest.mark.integration

PARTITIONS = 12
DEPLOYMENTS = int(os.environ.get("DEPLOYMENTS", "2"))
"""A measurement sets more of them."""


@pytest.mark.parametrize("acknowledge", ["result", "start"])
async def test_a_task_outlives_deployments_without_a_second_attempt_that_counts(
    kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory, acknowledge: str, tmp_path: Path
) -> None:
    """Its policy allows two, there are three. No worker waits for a session; each begins where the last one was."""
    topics_factory.make([name := f"{topic_names.prefix}render"], partitions=PARTITIONS)
    async with AsyncExitStack() as until:
        task_type = replace(render, name=name, topic=name)
        path = await open_task_path(kallback_stack, topic_names, topics_factory, until, task_type)
        await until.enter_async_context(Bridge(path.settings))
        the_end = tmp_path / "the-end"
        chosen = {"THE_END": str(the_end), "ACKNOWLEDGE": acknowledge}
        workers = await until.enter_async_context(worker_processes(path, "deployed_work", **chosen))
        await workers.start()
        await workers.shared_out(PARTITIONS)
        call = asyncio.create_task(path.call("a film", timeout=600))
        gaps = [await deploy(workers, number) for number in range(1, DEPLOYMENTS + 1)]
        print(f"seconds between attempts: {[round(gap, 2) for gap in gaps]}")  # noqa: T201 - measured
        the_end.touch()
        assert int(await call) == DEPLOYMENTS + 1


async def deploy(workers: WorkerProcesses, number: int) -> float:
    """Replace the worker by another one; return the seconds for which nothing worked on the task."""
    (old,) = workers.running()
    await old.line("begun")
    new = await workers.start()
    await workers.shared_out(PARTITIONS)
    await old.line("frame", after=len(old.lines))
    old.process.terminate()
    begun_at, (attempt, done) = await new.line("begun")
    await old.ended()
    stopped_at, (last,) = old.last("frame")
    assert (attempt, done) == (number + 1, last)
    return begun_at - stopped_at - FRAME_S
