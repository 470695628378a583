"""A member whose record kills it: `member_killed_by_a_record.py CLIENT BOOTSTRAP TOPIC GROUP INSTANCE_ID`.

It says how often the record was delivered, begins it, commits, and is gone without another word.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from kallback.kafka import AiokafkaConsumer, ConfluentConsumer, ConsumerOptions
from kallback.settings import KafkaSettings


async def main() -> None:
    """Take the first record, and die of it."""
    client, bootstrap, topic, group, instance_id = sys.argv[1:]
    kind = ConfluentConsumer if client == "confluent" else AiokafkaConsumer
    options = ConsumerOptions(group_instance_id=instance_id, commit_interval=1000, commit_metadata=True)
    consumer = kind(KafkaSettings(bootstrap), [topic], group, options=options)
    await consumer.start()
    (record,) = await consumer.fetch(1, 60)
    consumer.started(record)
    await consumer.commit()
    sys.stdout.write(f"deliveries {record.deliveries}\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


asyncio.run(main())
