"""The fixture of all tests of workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.unit.workers.environment import WorkerEnv


@pytest.fixture
async def env() -> AsyncIterator[WorkerEnv]:
    """An environment; its workers are stopped at the end, and nothing of theirs may be left on the loop."""
    made = WorkerEnv()
    yield made
    for worker in made.workers:
        await worker.stop()
    left = [task for task in asyncio.all_tasks() if task.get_name().startswith("kallback")]
    assert not left, f"tasks left behind: {left}"
