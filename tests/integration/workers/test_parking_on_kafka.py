"""A record on which the whole process dies, restarted by a supervisor as in real life."""

from __future__ import annotations

import asyncio
import collections
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.workers.environment import KafkaWorkerEnv

pytestmark = pytest.mark.integration

_LIVES = 8
_TASKS = 4


async def lives(env: KafkaWorkerEnv, log: Path) -> list[int]:
    """Run the worker again and again until the topic is done with; how the lives before ended."""
    environment = os.environ | {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": env.settings.kafka.bootstrap_servers,
        "KALLBACK_TOPICS_PREFIX": env.settings.topics.prefix,
        "KILLER": env.group,
        "KILLER_LOG": str(log),
    }
    ends: list[int] = []
    for _ in range(_LIVES):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kallback.cli", "worker", "killer:worker", "--client", env.client),
            cwd=Path(__file__).parent,
            env=environment,
        )
        died = asyncio.create_task(process.wait())
        all_done = asyncio.create_task(env.read(env.results_topic, _TASKS, patience=240))
        await asyncio.wait({died, all_done}, return_when=asyncio.FIRST_COMPLETED)
        if all_done.done():
            all_done.result()
            process.terminate()
            assert await died == 0
            return ends
        all_done.cancel()
        ends.append(await died)
    return ends


async def test_a_record_that_kills_its_process_is_parked(env: KafkaWorkerEnv, tmp_path: Path) -> None:
    """Three processes die of it, the third one running nothing else; the fourth parks it, and nobody else is harmed."""
    for dish in ("soup", "poison", "salad", "cake"):
        await env.send(dish)
    assert await lives(env, tmp_path / "log") == [-signal.SIGKILL] * 3
    assert await env.dead(1) == ["parked"]
    (letter,) = await env.read(env.settings.topics.dead_letters, 1)
    assert letter.task_id == "poison"
    results = await env.read(env.results_topic, _TASKS)
    failed = [seen.task_id for seen in results if seen.headers["kallback-status"] == "failed"]
    assert (sorted({seen.task_id for seen in results}), failed) == (["cake", "poison", "salad", "soup"], ["poison"])
    begun = collections.Counter((tmp_path / "log").read_text().split())
    assert begun["poison"] == 3
