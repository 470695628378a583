"""A worker on confluent-kafka alone with one bad habit, named by CARELESS."""

from __future__ import annotations

import os
import time
from operator import methodcaller

from confluent_kafka import Consumer, Producer

BROKERS, TASKS, HABIT = os.environ["BROKERS"], os.environ["TASKS"], os.environ["CARELESS"]


def main() -> None:
    """Answer every task, as the habit says."""
    consumer = Consumer(
        {
            "bootstrap.servers": BROKERS,
            "group.id": TASKS,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,
        }
    )
    producer = Producer({"bootstrap.servers": BROKERS})
    consumer.subscribe([TASKS])
    while True:
        record = consumer.poll(1.0)
        if record is None or record.error():
            continue
        if HABIT == "commits first":
            consumer.commit(message=record, asynchronous=False)
            time.sleep(0.2)
        headers = dict[str, bytes](methodcaller("headers")(record) or ())  # the client's annotation has other types
        if headers or HABIT == "dies of a record without headers":
            answer(producer, headers, record.value() or b"")
        if HABIT != "commits first":
            consumer.commit(message=record, asynchronous=False)


def answer(producer: Producer, headers: dict[str, bytes], value: bytes) -> None:
    """Send a result, unless the task is none for this worker."""
    topic = headers["kallback-reply-to"].decode()
    late = int(headers["kallback-deadline"]) < time.time() * 1000
    if late or headers["kallback-version"] != b"1":
        return
    fails = b'"id"' not in value and HABIT != "answers success for failures"
    token = [("kallback-token", headers["kallback-token"])] if HABIT != "copies no headers" else []
    status = ("kallback-status", b"failed" if fails else b"completed")
    for _ in range(2 if HABIT == "answers twice" else 1):
        producer.produce(topic, b"{}", headers=[*token, status])
    producer.flush(60)


main()
