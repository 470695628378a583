"""The worker of the round trips: `kallback worker benchmarks.worker:worker`."""

from __future__ import annotations

from datetime import timedelta

from kallback.protocol import TaskType
from kallback.workers import Worker

echo = TaskType("bench.echo", request=str, result=str, timeout=timedelta(minutes=5))
idle = TaskType("bench.idle", request=str, result=str, timeout=timedelta(days=1))
"""No worker does it."""
worker = Worker("bench-workers")


@worker.task(echo)
async def answer(text: str) -> str:
    """Give back what was asked."""
    return text
