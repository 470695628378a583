"""The workers for long tasks lose no progress when they are stopped, or when other processes join."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.foreign_workers.callers import (
    LANGUAGES,
    LONG_S,
    TIMEOUT_S,
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
from kallback.protocol import Completed, Failed, Problem, read_result
from kallback.protocol.problems import HANDED_BACK
from kallback.settings import KafkaSettings
from kallback.testing import KafkaServer, TopicFactory

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]  # the first build of a language takes minutes

LONG = b'{"id": "o-1", "seconds": %d}' % LONG_S
LAST_SECOND = b'{"done": %d, "of": %d}' % (LONG_S - 1, LONG_S)


def problem_of(found: list[Record], token: str) -> Problem:
    """Why the task of this token failed; it has one result."""
    [result] = [each for each in (read_result(record.value, record.headers) for record in found) if each.token == token]
    answer = result.answer()
    assert isinstance(answer, Failed), answer
    return answer.problem()


def details_of(problem: Problem) -> dict[str, Any]:
    """The details with which the next attempt begins."""
    details = json.loads(str(problem.extensions["last_details"]))
    assert isinstance(details, dict)
    return details


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_stopped_worker_hands_back_how_far_it_came(
    language: str, kafka_server: KafkaServer, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """SIGTERM during long work: the attempt is handed back with its details, and is not delivered again."""
    worker = build(language)
    tasks, results = topics_factory("prepare"), topics_factory("results")
    topics_factory.make([f"{tasks}.control", f"{tasks}.progress"])
    async with ConfluentProducer(KafkaSettings(kafka_server.bootstrap_servers)) as producer:
        caller = Caller(producer, tasks, results)
        await caller.ask("long", 1, LONG, hand_back=True, retry_lost=True)
        with worker.running(kafka_server, tasks, results, tmp_path / "first.log") as process:
            await read_until(kafka_server, f"{tasks}.progress", has_details)
            process.stop(grace=TIMEOUT_S)
        found = await read_until(kafka_server, results, lambda found: len(found) == 1)
        problem = problem_of(found, "kb1:long-1")
        assert problem.type == HANDED_BACK, process.log_tail()
        assert details_of(problem)["done"] >= 1
        await caller.ask("next", 1, b'{"id": "o-2"}')
        with worker.running(kafka_server, tasks, results, tmp_path / "second.log"):
            await read_until(kafka_server, results, lambda found: tokens_of(found) >= {"kb1:next-1"})
        told = await read_until(kafka_server, f"{tasks}.progress", lambda found: starts(found) >= 1)
    assert starts(of_task(told, "long")) == 1


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_next_attempt_goes_on_behind_the_last_details(
    language: str, kafka_server: KafkaServer, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """Work of ten minutes that an earlier attempt has almost done ends at once; details of another form are ignored."""
    worker = build(language)
    tasks, results = topics_factory("prepare"), topics_factory("results")
    topics_factory.make([f"{tasks}.control", f"{tasks}.progress"])
    async with ConfluentProducer(KafkaSettings(kafka_server.bootstrap_servers)) as producer:
        caller = Caller(producer, tasks, results)
        await caller.ask("odd", 2, b'{"id": "o-1", "seconds": 1}', last_details=b"[]")
        await caller.ask("long", 2, LONG, last_details=LAST_SECOND)
        with worker.running(kafka_server, tasks, results, tmp_path / "worker.log"):
            found = await read_until(kafka_server, results, lambda found: len(found) == 2)
    answers = [read_result(record.value, record.headers).answer() for record in found]
    assert all(isinstance(answer, Completed) for answer in answers), answers


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_deployment_that_starts_the_new_process_first_begins_no_task_twice(
    language: str, kafka_server: KafkaServer, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """A second process joins while tasks are under way, and the first one stops: each is begun once and handed back."""
    worker = build(language)
    tasks, results = topics_factory("prepare", partitions=2), topics_factory("results")
    progress, long = f"{tasks}.progress", ("long-0", "long-1")
    topics_factory.make([f"{tasks}.control", progress])
    async with ConfluentProducer(KafkaSettings(kafka_server.bootstrap_servers)) as producer:
        caller = Caller(producer, tasks, results)
        for partition, task_id in enumerate(long):
            await caller.ask(task_id, 1, LONG, partition=partition, hand_back=True, retry_lost=True)
        at_once = 1 if language == "python-cancels" else 2
        with worker.running(kafka_server, tasks, results, tmp_path / "first.log") as first:
            await read_until(kafka_server, progress, lambda found: starts(found) == at_once)
            with worker.running(kafka_server, tasks, results, tmp_path / "second.log") as second:
                await until(lambda: partitions_of_members(kafka_server, tasks) == [1, 1])
                for partition, task_id in enumerate(("next-0", "next-1")):
                    await caller.ask(task_id, 1, b'{"id": "o-2"}', partition=partition)
                first.stop(grace=TIMEOUT_S)
                found = await read_until(kafka_server, results, lambda found: len(found) >= at_once)
                if at_once == 1:  # the second process has begun the other one
                    await read_until(kafka_server, progress, lambda found: starts(found) >= len(long))
                    second.stop(grace=TIMEOUT_S)
                    found = await read_until(kafka_server, results, lambda found: len(found) >= len(long))
                else:
                    done = {"kb1:next-0-1", "kb1:next-1-1"}
                    found = await read_until(kafka_server, results, lambda found: tokens_of(found) >= done)
        told = await read_until(kafka_server, progress, lambda found: starts(found) >= len(long))
    assert [starts(of_task(told, task_id)) for task_id in long] == [1, 1], first.log_tail() + second.log_tail()
    assert {problem_of(found, f"kb1:{task_id}-1").type for task_id in long} == {HANDED_BACK}


@pytest.mark.parametrize("language", ["python-cancels", "java-cancels"])
async def test_the_record_of_a_watched_attempt_is_given_to_no_other_process(
    language: str, kafka_server: KafkaServer, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """Its work goes on where it is, through a rebalance and back; kafkajs has another assignor."""
    worker = build(language)
    tasks, results = topics_factory("prepare"), topics_factory("results")
    progress = f"{tasks}.progress"
    topics_factory.make([f"{tasks}.control", progress])
    async with ConfluentProducer(KafkaSettings(kafka_server.bootstrap_servers)) as producer:
        caller = Caller(producer, tasks, results)
        with worker.running(kafka_server, tasks, results, tmp_path / "worker.log") as process:
            await caller.ask("long", 1, LONG, hand_back=True, retry_lost=True)
            await read_until(kafka_server, progress, lambda found: starts(found) == 1)
            await caller.ask("next", 1, b'{"id": "o-2"}', b"next")
            with first_member(kafka_server, tasks) as key:
                assert key == b"next"
            await until(lambda: partitions_of_members(kafka_server, tasks) == [1])
            process.stop(grace=TIMEOUT_S)
        found = await read_until(kafka_server, results, bool)
        assert problem_of(found, "kb1:long-1").type == HANDED_BACK
        told = await read_until(kafka_server, progress, bool)
    assert starts(of_task(told, "long")) == 1


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_worker_for_long_tasks_says_that_its_control_topic_is_missing(
    language: str, kafka_server: KafkaServer, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """It ends at its start: cancels would have no effect."""
    worker = build(language)
    tasks = topics_factory("prepare")
    with worker.running(kafka_server, tasks, f"{tasks}.results", tmp_path / "worker.log") as process:
        await until(lambda: not process.running)
        assert process.exit_code != 0
        assert "so cancels would have no effect" in process.log_tail()
