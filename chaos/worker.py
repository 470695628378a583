"""The worker of a run: `kallback worker chaos.worker:worker`."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Final

from chaos.plan import DRAIN_TIMEOUT, SESSION_TIMEOUT
from chaos.work import (
    GROUP,
    HEARTBEAT,
    RUNS,
    SOLD_OUT_STATUS,
    Done,
    Job,
    Kind,
    long_work,
    process_work,
    refusal_of,
    result_of,
    work,
)
from kallback.kafka import ConsumerOptions
from kallback.workers import TaskContext, TaskFailure, Worker, WorkerOptions

_DIRECTORY: Final = Path(os.environ.get("CHAOS_DIRECTORY", "."))

_consumer = ConsumerOptions(group_instance_id=os.environ.get("CHAOS_NAME"), session_timeout=SESSION_TIMEOUT)
worker = Worker(GROUP, options=WorkerOptions(concurrency=32, drain_timeout=DRAIN_TIMEOUT, consumer=_consumer))


@worker.task(work)
async def do(job: Job, task: TaskContext) -> Done:
    """Do the work, and note that it was begun: work that runs twice is counted."""
    _note(job, task)
    await asyncio.sleep(job.work)
    if job.kind is Kind.FAILING:
        raise TaskFailure("SoldOut", refusal_of(job.number), status=SOLD_OUT_STATUS)
    return result_of(job)


@worker.task(long_work, acknowledge="start")
async def do_long(job: Job, task: TaskContext) -> Done:
    """Do work that takes several limits of heartbeats, from where the attempt before came to."""
    _note(job, task)
    steps = round(job.work / HEARTBEAT)
    for step in range(task.last_details or 0, steps):
        await asyncio.sleep(HEARTBEAT)
        task.heartbeat(step + 1)
    return result_of(job)


@worker.task(process_work, executor="process")
def do_in_process(job: Job) -> Done:
    """Do the work in a child process; it does not look whether it is cancelled."""
    time.sleep(job.work)
    return result_of(job)


def _note(job: Job, task: TaskContext) -> None:
    with (_DIRECTORY / RUNS).open("ab") as file:
        file.write(f"{job.number} {task.task_id} {task.attempt}\n".encode())
