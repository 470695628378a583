"""One record that a Python client cannot read, in each topic: nothing stops."""

from __future__ import annotations

import asyncio
import re
from uuid import uuid4

import pytest
from click.testing import CliRunner
from tests.integration.end_to_end.environment import TaskPath
from tests.integration.unreadable_records import send_unreadable

from kallback.bridge import Bridge
from kallback.cli.dead_letters.commands import dead_letters
from kallback.kafka import ClientName
from kallback.testing import eventually
from kallback.workers import Worker

pytestmark = pytest.mark.integration


def list_dead_letters(path: TaskPath) -> str:
    """What `kallback dead-letters list` prints; it must succeed."""
    variables = {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": path.settings.kafka.bootstrap_servers,
        "KALLBACK_TOPICS_PREFIX": path.settings.topics.prefix,
    }
    done = CliRunner(env=variables).invoke(dead_letters, ["list"])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("client", ["aiokafka", "confluent"])
async def test_a_header_name_that_is_not_utf8_stops_nothing(path: TaskPath, client: ClientName) -> None:
    """In results, tasks, control, progress and dead letters, before the start and after it: calls are answered."""
    topics = path.settings.topics
    everywhere = (topics.results, path.task_type.topic, topics.control, topics.progress, topics.dead_letters)
    worker = Worker(f"workers-{uuid4().hex[:8]}", settings=path.settings, client=client)

    @worker.task(path.task_type)
    async def work(text: str) -> str:
        return f"done: {text}"

    await send_unreadable(path.settings.kafka.bootstrap_servers, *everywhere)
    async with Bridge(path.settings), worker:
        assert await path.call("first") == "done: first"
        await send_unreadable(path.settings.kafka.bootstrap_servers, *everywhere)
        assert await path.call("second") == "done: second"
        await eventually("stubs of two results and two tasks", lambda: asyncio.to_thread(four_stubs, path))


def four_stubs(path: TaskPath) -> bool:
    """Whether as many dead letters are listed as unreadable."""
    return len(re.findall(r"unreadable +\S+@\d", list_dead_letters(path))) == 4
