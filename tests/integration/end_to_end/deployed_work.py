"""A worker for `kallback worker deployed_work:worker`: tasks that are longer than a deployment."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from kallback.protocol import RetryPolicy, TaskType
from kallback.workers import Acknowledge, TaskContext, Worker, WorkerOptions

THE_END = Path(os.environ.get("THE_END", "/nowhere"))
FRAME_S = 0.1

render = TaskType(
    os.environ.get("RENDER", "render"),
    request=str,
    result=int,
    timeout=timedelta(minutes=15),
    heartbeat_every=timedelta(seconds=1),
    # Not one: a rebalance leaves an attempt to the worker that runs it only if another one may follow.
    retry=RetryPolicy(attempts=2),
)
# Longer than the test waits: whoever waits for the end of a session is found out.
worker = Worker(render.name, options=WorkerOptions(drain_timeout=0.5, session_timeout=300))


@worker.task(render, acknowledge=Acknowledge(os.environ.get("ACKNOWLEDGE", "result")))
async def run(_text: str, task: TaskContext) -> int:
    """Continue where the attempt before stopped, until a file says that it is the end; return the attempt's number."""
    frame = int(task.last_details or 0)
    print(f"begun {task.attempt} {frame}", flush=True)  # noqa: T201 - the test reads it
    while not os.access(THE_END, os.F_OK):
        await asyncio.sleep(FRAME_S)
        frame += 1
        task.heartbeat(frame)
        print(f"frame {frame}", flush=True)  # noqa: T201 - as above
    return task.attempt
