"""Tasks in child processes, from the handler to the worker and back."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from tests.integration.end_to_end.environment import TaskPath
from tests.integration.end_to_end.process_work import work

from kallback.bridge import Bridge
from kallback.testing import eventually
from kallback.workers import Worker, WorkerOptions

pytestmark = pytest.mark.integration


async def test_a_cancelled_process_task_is_followed_by_one_that_runs(path: TaskPath, tmp_path: Path) -> None:
    """The child of the cancelled task is ended; the next task of the same slot has its result."""
    worker = Worker(f"workers-{uuid4().hex[:8]}", settings=path.settings, options=WorkerOptions(cancel_grace=0.5))
    worker.task(path.task_type, executor="process", concurrency=1)(work)
    async with Bridge(path.settings), worker:
        for number in range(3):
            begun = tmp_path / f"begun-{number}"
            invocation = await path.start(str(begun))
            await eventually("the task to begin in its process", begun.exists)
            await path.admin.cancel(invocation)
            assert await path.call(f"after {number}") == f"done: after {number}"
