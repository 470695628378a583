"""A worker whose process dies of one of its tasks: `kallback worker killer:worker`."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path

from kallback.kafka import ConsumerOptions
from kallback.protocol import TaskType
from kallback.workers import Worker, WorkerOptions

deadly = TaskType("prepare", request=str, result=str, topic=os.environ["KILLER"], timeout=timedelta(hours=1))
_consumer = ConsumerOptions(session_timeout=6, group_instance_id="killer-1")
worker = Worker(os.environ["KILLER"], options=WorkerOptions(deliveries=3, consumer=_consumer))


@worker.task(deadly)
async def do(what: str) -> str:
    """Die of poison, do the rest; note what was begun."""
    note(what)
    if what == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(0.5)
    return what


def note(what: str) -> None:
    """Write down what was begun."""
    with Path(os.environ["KILLER_LOG"]).open("a") as file:
        file.write(f"{what}\n")
