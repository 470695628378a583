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
LARGEST_MIB = 110.0


MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command, and prints the most memory that it had. Linux counts what the parent of a process has as well, so the
parent is a small one."""


def peak_mib(kafka: KafkaServer, topics: Topics, *command: str) -> float:
    """Run a command to its end; return the most memory that it had."""
    variables = {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KALLBACK_TOPICS_PREFIX": topics.prefix,
    }
    program = [sys.executable, "-c", MEASURED, sys.executable, "-m", "kallback.cli", *command]
    done = subprocess.run(program, env=os.environ | variables, check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is Linux's")
async def test_a_list_of_records_that_unfold_takes_little_memory(
    kafka_server: KafkaServer, topics_factory: TopicFactory
) -> None:
    """No batch waits behind another one, and each unfolds to 15 MB: 79 MiB, and 122 to 137 when one did."""
    topics = Topics(prefix=f"m{uuid4().hex[:8]}.")
    topics_factory.make([topics.outcomes], partitions=PARTITIONS)
    one = await asyncio.to_thread(batch, [RawRecord(headers=HEADERS)] * PER_BATCH, Codec.ZSTD)
    async with RawWriter(kafka_server.bootstrap_servers) as writer:
        for number in range(BATCHES):
            await writer.write(topics.outcomes, number % PARTITIONS, one)
    assert await asyncio.to_thread(peak_mib, kafka_server, topics, "outcomes", "list") < LARGEST_MIB
