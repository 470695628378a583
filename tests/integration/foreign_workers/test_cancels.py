"""The workers for long tasks stop what was cancelled, also while they work."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pytest
from tests.integration.foreign_workers.callers import (
    LANGUAGES,
    LONG_S,
    SECRET,
    Caller,
    first_member,
    has_details,
    of_task,
    partitions_of_members,
    read_until,
    starts,
    tokens_of,
    until,
)
from tests.integration.foreign_workers.conftest import build

from kallback.kafka import ConfluentProducer, Record
from kallback.protocol import read_progress, read_result
from kallback.settings import KafkaSettings
from kallback.testing import KafkaServer, TopicFactory

pytestmark = pytest.mark.integration

MORE: Final = 4
"""Heartbeats of work that goes on, after which a task that was delivered again would have begun."""


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_worker_for_long_tasks_stops_what_is_cancelled(
    language: str, kafka_server: KafkaServer, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """A cancel of before its start covers the first attempt alone, and one that comes later ends long work."""
    worker = build(language)
    tasks, results = topics_factory("prepare"), topics_factory("results")
    topics_factory.make([f"{tasks}.control", f"{tasks}.progress"])
    async with ConfluentProducer(KafkaSettings(kafka_server.bootstrap_servers)) as producer:
        caller = Caller(producer, tasks, results)
        await caller.cancel("short", 1, SECRET)
        await caller.ask("short", 1, b'{"id": "o-1"}')
        await caller.ask("short", 2, b'{"id": "o-1"}')
        await caller.ask("long", 1, b'{"id": "o-2", "seconds": %d}' % LONG_S)
        with worker.running(kafka_server, tasks, results, tmp_path / "worker.log"):
            of_long = f"{tasks}.progress"
            await read_until(kafka_server, of_long, lambda found: has_details(of_task(found, "long")))
            await caller.cancel("long", None, SECRET)
            await caller.ask("next", 1, b'{"id": "o-3"}')
            found = await read_until(kafka_server, results, lambda found: len(found) == 2)
    tokens = [read_result(record.value, record.headers).token for record in found]
    assert tokens == ["kb1:short-2", "kb1:next-1"]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_process_that_joins_during_long_work_loses_no_task(
    language: str, kafka_server: KafkaServer, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """A second process joins while the first one works; when that task is cancelled, all others are done."""
    worker = build(language)
    tasks, results = topics_factory("prepare", partitions=4), topics_factory("results")
    topics_factory.make([f"{tasks}.control", f"{tasks}.progress"])
    shorts = [f"t-{number}" for number in range(12)]
    async with ConfluentProducer(KafkaSettings(kafka_server.bootstrap_servers)) as producer:
        caller = Caller(producer, tasks, results)
        with worker.running(kafka_server, tasks, results, tmp_path / "first.log"):
            await caller.ask("long", 1, b'{"id": "o-1", "seconds": 600}')
            await read_until(kafka_server, f"{tasks}.progress", lambda found: starts(found) == 1)
            for task_id in shorts:
                await caller.ask(task_id, 1, b'{"id": "o-2"}', task_id.encode())
            with worker.running(kafka_server, tasks, results, tmp_path / "second.log"):
                await read_until(kafka_server, f"{tasks}.progress", lambda found: starts(found) > 1)
                await caller.cancel("long", None, SECRET)
                await read_until(
                    kafka_server, results, lambda found: tokens_of(found) == {f"kb1:{each}-1" for each in shorts}
                )


@pytest.mark.parametrize("ends", ["while-it-is-away", "when-it-is-back"])
@pytest.mark.parametrize("language", ["python-cancels", "java-cancels"])
async def test_long_work_goes_on_while_its_partition_is_away(
    language: str, ends: str, kafka_server: KafkaServer, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """The task is delivered again when the partition comes back, and not begun anew; kafkajs has another assignor."""
    worker = build(language)
    tasks, results = topics_factory("prepare"), topics_factory("results")
    progress = f"{tasks}.progress"
    topics_factory.make([f"{tasks}.control", progress])
    async with ConfluentProducer(KafkaSettings(kafka_server.bootstrap_servers)) as producer:
        caller = Caller(producer, tasks, results)
        with worker.running(kafka_server, tasks, results, tmp_path / "worker.log") as process:
            await caller.ask("long", 1, b'{"id": "o-1", "seconds": %d}' % LONG_S)
            await read_until(kafka_server, progress, lambda found: starts(found) == 1)
            with first_member(kafka_server, tasks):
                if ends == "while-it-is-away":
                    await caller.cancel("long", None, SECRET)
                    await until(lambda: "cancelled: " in process.log_tail())
            await until(lambda: partitions_of_members(kafka_server, tasks) == [1])
            if ends == "when-it-is-back":
                back_ms = time.time() * 1000
                await read_until(kafka_server, progress, lambda found: len(told_since(back_ms, found)) > MORE)
                await caller.cancel("long", None, SECRET)
            await caller.ask("next", 1, b'{"id": "o-2"}')
            await read_until(kafka_server, results, lambda found: tokens_of(found) == {"kb1:next-1"})
            assert process.running, process.log_tail()
            told = await read_until(kafka_server, progress, lambda found: bool(of_task(found, "next")))
    assert starts(of_task(told, "long")) == 1


def told_since(since_ms: float, found: list[Record]) -> list[Record]:
    """The progress of a time and later."""
    return [each for each in found if read_progress(each.value, each.headers).report().at_ms >= since_ms]
