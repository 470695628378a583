"""The worker: it needs Kafka and nothing else. Run as many as the work needs."""

from __future__ import annotations

import asyncio

from kallback.workers import TaskContext, TaskFailure, Worker
from starter.tasks import Converted, Document, convert

worker = Worker("starter")


@worker.task(convert)
async def run(document: Document, task: TaskContext) -> Converted:
    """Convert page by page; after a deployment or a crash, go on behind the last page that was reported."""
    name, _, ending = document.url.rpartition(".")
    if ending != "md":
        raise TaskFailure("UnknownFormat", f"{document.url} is no Markdown", status=422)
    for page in range(task.last_details or 0, document.pages):
        await asyncio.sleep(0.1)  # the work
        task.heartbeat(page + 1)
    return Converted(f"{name}.html")
