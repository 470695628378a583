"""What people use instead of the worker kit. `python -m benchmarks.workers.loops each|second|faststream`.

All of them answer each task with a result that a bridge would accept, and wait until Kafka has it before the task's
offset is committed: nothing is lost when they crash. They do one task after the other, as in their own documentation.
None of them knows deadlines, cancels, copies, retries, heartbeats or dead letters.
"""

# aiokafka is annotated in part only and ships no py.typed; FastStream is not installed everywhere:
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

TASKS: Final = os.environ.get("BENCH_TASKS", "")
RESULTS: Final = os.environ.get("BENCH_RESULTS", "")
SERVERS: Final = os.environ.get("KALLBACK_KAFKA_BOOTSTRAP_SERVERS", "")
TOKEN: Final = "kallback-token"


async def loop(commit_every_s: float) -> None:
    """Poll, do, send, commit: after each task, or when so many seconds have passed since the last commit."""
    consumer = AIOKafkaConsumer(
        TASKS,
        bootstrap_servers=SERVERS,
        group_id="loop",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    async with consumer, AIOKafkaProducer(bootstrap_servers=SERVERS, acks="all") as producer:
        print("reading", flush=True)
        committed = time.monotonic()
        async for record in consumer:
            answer = json.dumps(json.loads(record.value or b"")).encode()
            headers = [(name, value) for name, value in record.headers if name == TOKEN]
            await producer.send_and_wait(RESULTS, answer, headers=headers)
            if time.monotonic() - committed >= commit_every_s:
                await consumer.commit()
                committed = time.monotonic()


async def faststream() -> None:
    """FastStream with an acknowledgement of each message."""
    # Only the benchmarks have it:
    from faststream import AckPolicy, FastStream  # noqa: PLC0415
    from faststream.kafka import KafkaBroker, KafkaMessage  # noqa: PLC0415

    broker: Any = KafkaBroker(SERVERS, acks="all")

    async def answer(text: str, message: KafkaMessage) -> None:
        await broker.publish(json.dumps(text), RESULTS, headers={TOKEN: message.headers[TOKEN]})

    subscriber = broker.subscriber(TASKS, group_id="faststream", auto_offset_reset="earliest", ack_policy=AckPolicy.ACK)
    subscriber(answer)
    globals().update(KafkaMessage=KafkaMessage)  # FastStream looks annotations up where the function was written
    print("reading", flush=True)
    await FastStream(broker).run(log_level=40)


def main() -> None:
    """Run until killed."""
    match sys.argv[1]:
        case "each":
            asyncio.run(loop(0))
        case "second":
            asyncio.run(loop(1))
        case _:
            asyncio.run(faststream())


if __name__ == "__main__":
    main()
