"""A worker for `kallback worker killed_work:worker`: the first attempts work until their process is killed."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

from kallback.protocol import RetryPolicy, TaskType
from kallback.workers import TaskContext, Worker, WorkerOptions

render = TaskType(
    os.environ.get("RENDER", "render"),
    request=str,
    result=int,
    timeout=timedelta(minutes=3),
    heartbeat_every=timedelta(seconds=float(os.environ.get("HEARTBEAT_EVERY", "1"))),
    retry=RetryPolicy(attempts=4),
)
_session_timeout = os.environ.get("SESSION_TIMEOUT")
worker = Worker(
    render.name,
    options=WorkerOptions(session_timeout=None if _session_timeout is None else float(_session_timeout)),
)


@worker.task(render)
async def run(_text: str, task: TaskContext) -> int:
    """Say that it begins, and how many partitions the worker has then.

    The first attempt never returns, a later one returns what the first one said last.
    """
    status = worker.group_status()
    print(f"begun {task.attempt} {0 if status is None else len(status.partitions)}", flush=True)  # noqa: T201 - the test reads it
    if task.attempt > 1:
        return int(task.last_details)
    for frame in range(1_000_000):
        task.heartbeat(frame)
        await asyncio.sleep(0.1)
    return -1
