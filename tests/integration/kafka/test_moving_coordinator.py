"""A broker that is asked for committed offsets ends no process: neither if it dies nor if it is no coordinator."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from tests.integration.kafka_gate import gated_kafka

from kallback.testing import KafkaOptions, TopicFactory, start_kafka

ASKS = """
import asyncio, sys
from kallback.kafka import groups_of
from kallback.settings import KafkaSettings

[group] = asyncio.run(groups_of(KafkaSettings(sys.argv[1]), ["t"]))
print(group.name, *group.committed.values())
"""

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]


def test_the_process_that_asks_lives_on() -> None:
    """The admin client of librdkafka ended it with a null pointer while the group's coordinator was moving."""
    with start_kafka(KafkaOptions(embedded=False)) as kafka:
        TopicFactory(kafka).make(["t"])
        program = Path(__file__).with_name("asks_for_offsets.py")
        asking = subprocess.Popen([sys.executable, program, kafka.bootstrap_servers])
        try:
            for _ in range(3):
                time.sleep(1)  # answers and questions are under way
                kafka.kill()
                kafka.start()
            time.sleep(1)
            assert asking.poll() is None
        finally:
            asking.kill()
            asking.wait()


def test_groups_are_found_while_their_coordinator_moves() -> None:
    """Librdkafka's admin client ends the process where a broker answers that it is not the coordinator (issue 5040)."""
    with gated_kafka() as (kafka, gate):
        TopicFactory(kafka).make(["t"])
        client = Consumer({"bootstrap.servers": gate.address, "group.id": "readers"})
        client.commit(offsets=[TopicPartition("t", 0, 7)], asynchronous=False)
        client.close()
        gate.refuse_offset_fetches(2)
        asked = subprocess.run(
            [sys.executable, "-c", ASKS, gate.address], stdout=subprocess.PIPE, text=True, check=True
        )
        assert asked.stdout.split() == ["readers", "7"]
        assert gate.refusals == 0
