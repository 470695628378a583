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
    from tests.integration.workers.conftest import KafkaBench

pytestmark = pytest.mark.integration

_LIVES = 8


async def lives(bench: KafkaBench, log: Path) -> list[int]:
    """Run the worker again and again until a life does not end by itself within some seconds; how the others ended."""
    environment = os.environ | {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": bench.settings.kafka.bootstrap_servers,
        "KALLBACK_TOPICS_PREFIX": bench.settings.topics.prefix,
        "KILLER": bench.group,
        "KILLER_LOG": str(log),
    }
    ends: list[int] = []
    for _ in range(_LIVES):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kallback.cli", "worker", "killer:worker", "--client", bench.client),
            cwd=Path(__file__).parent,
            env=environment,
        )
        try:
            async with asyncio.timeout(20):
                ends.append(await process.wait())
        except TimeoutError:
            process.terminate()
            assert await process.wait() == 0
            return ends
    return ends


async def test_a_record_that_kills_its_process_is_parked(bench: KafkaBench, tmp_path: Path) -> None:
    """Three processes die of it, the third one running nothing else; the fourth parks it, and nobody else is harmed."""
    for dish in ("soup", "poison", "salad", "cake"):
        await bench.send(dish)
    assert await lives(bench, tmp_path / "log") == [-signal.SIGKILL] * 3
    assert await bench.dead(1) == ["parked"]
    (letter,) = await bench.read(bench.settings.topics.dead_letters, 1)
    assert letter.task_id == "poison"
    results = await bench.read(bench.results_topic, 4)
    failed = [seen.task_id for seen in results if seen.headers["kallback-status"] == "failed"]
    assert (sorted({seen.task_id for seen in results}), failed) == (["cake", "poison", "salad", "soup"], ["poison"])
    begun = collections.Counter((tmp_path / "log").read_text().split())
    assert begun["poison"] == 3
