"""A worker of the kit, which the check starts, kills and stops."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from kallback.kafka import ConsumerOptions
from kallback.protocol import TaskType
from kallback.workers import TaskContext, TaskFailure, Worker, WorkerOptions

topic = os.environ["KITCHEN"]
prepare = TaskType(topic, request=dict[str, Any], result=dict[str, Any])
options = WorkerOptions(consumer=ConsumerOptions(session_timeout=6), drain_timeout=1)
worker = Worker(topic, options=options)


@worker.task(prepare)
async def cook(order: dict[str, Any], task: TaskContext) -> dict[str, Any]:
    """Take as long as the order says."""
    if "id" not in order:
        raise TaskFailure("BadOrder", f"{task.task_type} has no id", status=422)
    await asyncio.sleep(order.get("seconds", 0))
    return {"dish": order["id"]}
