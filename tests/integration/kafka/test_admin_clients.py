"""Python's garbage collector, which may run in any thread, never ends the process through an admin client."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL

import pytest

from kallback.settings import KafkaSettings

pytestmark = pytest.mark.integration

OWNERS = """
import gc, sys, threading, time
from kallback.kafka.confluent.topic_watch import TopicWatch
from kallback.kafka.records import TopicPartition
from kallback.settings import KafkaSettings

gc.freeze()
gc.set_threshold(10, 1, 1)  # it runs at each answer, in the thread that brings the answer
settings = KafkaSettings(sys.argv[1])

def forget(count):
    for number in range(count):
        watch = TopicWatch(settings, [f"missing-{number}"])
        watch.itself = watch
        watch.look(0.0, [TopicPartition(f"missing-{number}", 0)])
        time.sleep((0, 0.001, 0.003, 0.01, 0.05)[number % 5])

threads = [threading.Thread(target=forget, args=[60]) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


async def test_owners_that_are_forgotten_between_question_and_answer_end_no_process(
    kafka_settings: KafkaSettings,
) -> None:
    """Librdkafka aborts where a client is collected in its own thread."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNERS, kafka_settings.bootstrap_servers, stderr=DEVNULL
    )
    assert await process.wait() == 0
