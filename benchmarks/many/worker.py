"""The worker of the run: a thousand tasks at a time, each of a random time of at most `BENCH_SPREAD_S` seconds."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Final

from benchmarks.worker import echo
from kallback.workers import Worker, WorkerOptions

SPREAD: Final = "BENCH_SPREAD_S"
CONCURRENCY: Final = 1_000

worker = Worker("bench-many", options=WorkerOptions(concurrency=CONCURRENCY))


@worker.task(echo)
async def answer(text: str) -> str:
    """Give back what was asked, later."""
    await asyncio.sleep(random.uniform(0, float(os.environ[SPREAD])))
    return text
