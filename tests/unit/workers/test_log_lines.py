"""Records that others write in any number make no log line each."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.workers.environment import WorkerEnv

COUNT = 50
LONG_AGO_MS = 1_000


def send_junk(env: WorkerEnv) -> None:
    """Records that are no tasks."""
    for _ in range(COUNT):
        env.put("orders", b"junk")


def send_expired(env: WorkerEnv) -> None:
    """Tasks whose callers have stopped waiting."""
    for number in range(COUNT):
        env.send(f"t{number}", deadline_ms=LONG_AGO_MS)


def send_duplicates(env: WorkerEnv) -> None:
    """The same task again and again."""
    for _ in range(COUNT):
        env.send("t1")


@pytest.mark.parametrize("send", [send_junk, send_expired, send_duplicates])
async def test_many_records_of_one_kind_are_few_lines(
    env: WorkerEnv, send: Callable[[WorkerEnv], None], caplog: pytest.LogCaptureFixture
) -> None:
    """One line of each kind in ten seconds; the next one says how many were left out."""
    worker = env.worker()
    env.cook(worker)
    send(env)
    with caplog.at_level(logging.INFO, "kallback.workers"):
        async with worker:
            await env.settled(COUNT)
    said = [line for line in caplog.messages if "dead-lettered" in line or "skipped" in line or "duplicate" in line]
    assert 1 <= len(said) <= 2
