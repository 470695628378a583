"""The memory of lists, each a process of its own: records of headers alone, in batches that unfold to megabytes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from uuid import uuid4

import pytest
from attacks.raw_batches import Codec, RawRecord, batch
from attacks.raw_writer import RawWriter

from kallback.settings import Topics
from kallback.testing import KafkaServer
from kallback.testing.topics import TopicFactory

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]

BATCHES, PER_BATCH, PARTITIONS = 60, 17, 3
HEADERS = [(b"x%d" % number, b"\x00" * 9_000) for number in range(100)]
LARGEST_MIB = 120.0


def peak_mib(kafka: KafkaServer, topics: Topics, *command: str) -> float:
    """Run a command to its end; return the most memory that it had."""
    variables = {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KALLBACK_TOPICS_PREFIX": topics.prefix,
    }
    program = subprocess.Popen(
        [sys.executable, "-m", "kallback.cli", *command],
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(program.pid, 0)
    program.returncode = os.waitstatus_to_exitcode(status)
    assert program.returncode == 0
    return used.ru_maxrss / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is Linux's")
@pytest.mark.parametrize("command", [("dead-letters", "list"), ("outcomes", "list")])
async def test_a_list_of_records_that_unfold_takes_little_memory(
    kafka_server: KafkaServer, topics_factory: TopicFactory, command: tuple[str, ...]
) -> None:
    """No batch waits behind another one, and each unfolds to 15 MB: less than 100 MiB are used, and 165 were before."""
    topics = Topics(prefix=f"m{uuid4().hex[:8]}.")
    topic = topics.dead_letters if command[0] == "dead-letters" else topics.outcomes
    topics_factory.make([topic], partitions=PARTITIONS)
    one = await asyncio.to_thread(batch, [RawRecord(headers=HEADERS)] * PER_BATCH, Codec.ZSTD)
    async with RawWriter(kafka_server.bootstrap_servers) as writer:
        for number in range(BATCHES):
            await writer.write(topic, number % PARTITIONS, one)
    assert await asyncio.to_thread(peak_mib, kafka_server, topics, *command) < LARGEST_MIB
