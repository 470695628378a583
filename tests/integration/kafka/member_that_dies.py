"""A member that takes a record and never finishes it: `member_that_dies.py BOOTSTRAP TOPIC GROUP INSTANCE_ID`.

The test kills it while a rebalance waits for that record.
"""

from __future__ import annotations

import asyncio
import sys
from unittest.mock import patch

from kallback.kafka import ConfluentConsumer, ConsumerOptions
from kallback.settings import KafkaSettings


def say(line: str) -> None:
    """Write a line for the test."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> None:
    """Take what is there, and hold on to it."""
    bootstrap, topic, group, instance_id = sys.argv[1:]
    options = ConsumerOptions(group_instance_id=instance_id, drain_timeout=60)
    async with ConfluentConsumer(KafkaSettings(bootstrap), [topic], group, options=options) as consumer:
        thread = consumer._thread
        assert thread is not None
        taken: set[int] = set()
        with patch.object(thread.buffer, "stop_handing_out", wraps=thread.buffer.stop_handing_out) as giving_away:
            while True:
                for record in await consumer.fetch(10, 0.1):
                    taken.add(record.partition)
                    say(f"taken {len(taken)}")
                if giving_away.called:
                    say("giving away")


asyncio.run(main())
