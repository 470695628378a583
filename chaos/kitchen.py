"""The worker of a run: `kallback worker chaos.kitchen:worker`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from chaos.plan import SESSION_TIMEOUT
from chaos.work import GROUP, RUNS, SOLD_OUT_STATUS, Done, Job, Kind, refusal_of, result_of, work
from kallback.kafka import ConsumerOptions
from kallback.workers import TaskContext, TaskFailure, Worker, WorkerOptions

_DIRECTORY: Final = Path(os.environ.get("CHAOS_DIRECTORY", "."))

_consumer = ConsumerOptions(group_instance_id=os.environ.get("CHAOS_NAME"), session_timeout=SESSION_TIMEOUT)
worker = Worker(GROUP, options=WorkerOptions(concurrency=32, consumer=_consumer))


@worker.task(work)
async def do(job: Job, task: TaskContext) -> Done:
    """Do the work, and note that it was begun: work that runs twice is counted."""
    with (_DIRECTORY / RUNS).open("ab") as file:
        file.write(f"{job.number} {task.task_id} {task.attempt}\n".encode())
    await asyncio.sleep(job.work)
    if job.kind is Kind.FAILING:
        raise TaskFailure("SoldOut", refusal_of(job.number), status=SOLD_OUT_STATUS)
    return result_of(job)
