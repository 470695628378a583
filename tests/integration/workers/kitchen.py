"""A worker as a user writes it, run in processes of its own by the tests that kill."""

import asyncio
import os
import time

from kallback.kafka import ConsumerOptions
from kallback.protocol import TaskType
from kallback.workers import TaskContext, Worker, WorkerOptions

group = os.environ["KITCHEN"]
prepare = TaskType("prepare", request=str, result=str, topic=group)
compute = TaskType("compute", request=str, result=str, topic=group)
worker = Worker(group, options=WorkerOptions(consumer=ConsumerOptions(session_timeout=6)))


@worker.task(prepare)
async def cook(dish: str, task: TaskContext) -> str:
    """Say that it begins; what is named `slow` takes for ever, `brief` a moment."""
    print(f"begun {task.task_id}", flush=True)  # noqa: T201 - the test reads it
    if dish.startswith("slow"):
        await asyncio.Event().wait()
    if dish.startswith("brief"):
        await asyncio.sleep(0.5)
    return f"cooked {dish}"


@worker.task(compute, executor="process")
def count(dish: str) -> str:
    """Say in which process it begins; what is named `slow` takes for ever, the others a moment."""
    print(f"computing in {os.getpid()}", flush=True)  # noqa: T201 - the test reads it
    time.sleep(600 if dish.startswith("slow") else 0.5)
    return f"counted {dish}"
