"""A blocked loop is noticed, and who blocks it is named."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from kallback.workers.execution.blocked_loop_detector import BlockedLoopDetector

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv


async def test_a_function_that_blocks_the_loop_is_named(env: WorkerEnv, caplog: pytest.LogCaptureFixture) -> None:
    """One line for one occurrence, with the task, the time and the place in the code."""
    worker = env.worker(loop_stall=0.05)

    @worker.task(env.prepare)
    async def cook(order: Any) -> Any:
        time.sleep(0.5)  # noqa: ASYNC251 - what the test is about
        return env.prepared_type(order.dish)

    env.send("t7")
    async with worker:
        await env.settled(1)

    (line,) = [
        each.getMessage() for each in caplog.records if each.name == "kallback.workers.execution.blocked_loop_detector"
    ]
    assert line.startswith("[prepare:t7:1] blocks the event loop for 0.")
    assert f"at {__file__}:" in line
    assert "cook)" in line


async def test_each_occurrence_has_its_line(caplog: pytest.LogCaptureFixture) -> None:
    """Two blocks, two lines; between them the loop has answered."""
    watch = BlockedLoopDetector(0.05)
    await watch.start()
    for _ in range(2):
        time.sleep(0.3)  # noqa: ASYNC251 - what the test is about
        await asyncio.sleep(0.1)
    await watch.stop()

    assert caplog.text.count("blocks the event loop") == 2


async def test_a_loop_that_answers_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Threads may block as long as they like."""
    watch = BlockedLoopDetector(0.2)
    await watch.start()
    blocked = threading.Thread(target=time.sleep, args=(0.5,))
    blocked.start()
    await asyncio.to_thread(blocked.join)
    await watch.stop()

    assert "blocks" not in caplog.text


async def test_stopping_ends_the_thread(env: WorkerEnv) -> None:
    """Nothing watches a worker that is stopped."""
    worker = env.worker()
    env.cook(worker)
    async with worker:
        assert [each.name for each in threading.enumerate()].count("kallback-blocked-loop") == 1

    assert "kallback-blocked-loop" not in [each.name for each in threading.enumerate()]


@pytest.mark.parametrize("error", [RuntimeError("a defect"), KeyError("a defect"), MemoryError()])
async def test_a_detector_that_fails_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """Its silence would look like a loop that is never blocked."""

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("kallback.workers.execution.blocked_loop_detector._report", fail)
    detector = BlockedLoopDetector(0.01)
    await detector.start()
    time.sleep(0.1)  # noqa: ASYNC251 - what is noticed
    await detector.stop()

    assert "a blocked event loop will no longer be noticed" in caplog.text
