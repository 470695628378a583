"""Takes records and never finishes them: `member_that_dies.py BOOTSTRAP TOPIC GROUP CLIENT PROTOCOL NAME`.

The test kills it while a rebalance waits for these records. Without a name (`-`) it has no instance id.
"""

from __future__ import annotations

import asyncio
import sys

from kallback.kafka import ConsumerOptions, GroupProtocol, client_of, clients_of
from kallback.settings import KafkaSettings


def say(line: str) -> None:
    """Write a line for the test."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> None:
    """Take what is there, and hold on to it."""
    bootstrap, topic, group, client, protocol, name = sys.argv[1:]
    options = ConsumerOptions(
        group_protocol=GroupProtocol(protocol),
        group_instance_id=None if name == "-" else name,
        drain_timeout=60,
        session_timeout=6,
        commit_interval=0.1,
    )
    consumer = clients_of(client_of(client), KafkaSettings(bootstrap)).consumer([topic], group, options)
    consumer.on_revoke(lambda _partitions: say("giving away"))
    async with consumer:
        taken: set[int] = set()
        while True:
            for record in await consumer.fetch(10, 0.1):
                taken.add(record.partition)
                say(f"taken {len(taken)}")


asyncio.run(main())
