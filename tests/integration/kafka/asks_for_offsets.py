"""Asks without a pause what groups have committed, from several threads, until it is killed."""

from __future__ import annotations

import sys
import threading

from kallback.kafka import ConsumerOptions, TopicPartition
from kallback.kafka.confluent.membership.committed_offsets import partition_starts
from kallback.settings import KafkaSettings


def ask(settings: KafkaSettings, group: str) -> None:
    """Ask again and again."""
    while True:
        partition_starts(settings, group, [TopicPartition("t", 0)], ConsumerOptions(commit_metadata=True))


for number in range(4):
    threading.Thread(target=ask, args=(KafkaSettings(sys.argv[1]), f"group-{number}")).start()
