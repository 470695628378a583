"""The worker kit: `kallback worker benchmarks.workers.kit:worker`; its options come from `BENCH_*` variables."""

from __future__ import annotations

import os
from datetime import timedelta

from kallback.kafka import Client
from kallback.protocol import TaskType
from kallback.workers import Worker, WorkerOptions

TASKS = os.environ["BENCH_TASKS"]
echo = TaskType(TASKS, request=str, result=str, timeout=timedelta(hours=1))
worker = Worker(
    "bench-kit",
    options=WorkerOptions(concurrency=int(os.environ["BENCH_CONCURRENCY"])),
    client=Client(os.environ["BENCH_CLIENT"]),
)


@worker.task(echo)
async def answer(text: str) -> str:
    """Give back what was asked."""
    return text
