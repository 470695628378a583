"""A broker that dies while it is asked for committed offsets ends no process."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from kallback.testing import KafkaOptions, TopicFactory, start_kafka

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
