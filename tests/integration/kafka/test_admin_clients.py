"""No admin client of librdkafka ends the process: neither when it is forgotten nor when Kafka is slow."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE

import pytest
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as ClientPartition

from kallback.settings import KafkaSettings
from kallback.testing import TopicFactory

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


IMPATIENT = """
import asyncio, sys
from kallback.kafka import groups_of
from kallback.protocol.errors import KafkaUnavailableError
from kallback.settings import KafkaSettings

async def ask(topic):
    asked = 0
    for timeout in (0.03, 0.05, 0.07, 0.1, 0.15) * 6:
        try:
            await groups_of(KafkaSettings(sys.argv[1], connect_timeout=timeout), [topic])
        except KafkaUnavailableError:
            asked += 1
    print(asked)

asyncio.run(ask(sys.argv[2]))
"""


def make_group(settings: KafkaSettings, topic: str, name: str) -> None:
    """Commit in a group."""
    client = Consumer({"bootstrap.servers": settings.bootstrap_servers, "group.id": name})
    client.commit(offsets=[ClientPartition(topic, 0, 1)], asynchronous=False)
    client.close()


async def test_questions_about_groups_that_time_out_end_no_process(
    kafka_settings: KafkaSettings, topics_factory: TopicFactory
) -> None:
    """Not even a question that waits for its turn; librdkafka 2.16 fails on one that times out by itself."""
    topic = topics_factory("grouped")
    made = [asyncio.to_thread(make_group, kafka_settings, topic, f"many-{number}") for number in range(100)]
    await asyncio.gather(*made)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", IMPATIENT, kafka_settings.bootstrap_servers, topic, stdout=PIPE, stderr=DEVNULL
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert int(output) > 0, "no question timed out"
