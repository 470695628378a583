"""A worker in Python, with confluent-kafka alone."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable
from operator import methodcaller
from typing import Any

from confluent_kafka import Consumer, Message, Producer

BROKERS = os.environ.get("BROKERS", "localhost:9092")
GROUP = os.environ.get("GROUP", "kitchen")
TASKS = os.environ.get("TASKS", "restaurant.prepare")
RESULTS = os.environ.get("RESULTS", "kallback.results")  # this worker answers to no other topic

# Like record.headers(), which can crash Python on a header name that is not UTF-8; this raises SystemError then.
read_headers: Callable[[Message], list[tuple[str, bytes | None]] | None] = methodcaller("headers")


def cook(order: Any) -> dict[str, int]:
    if not isinstance(order, dict) or "id" not in order:
        raise ValueError("an order has an id")
    return {"minutes": 12}


def answer(value: bytes | None) -> tuple[str, bytes]:
    try:
        return "completed", json.dumps(cook(json.loads(value or b"null")), allow_nan=False).encode()
    except (ValueError, RecursionError) as error:  # what the caller should know
        return "failed", json.dumps({"type": "BadOrder", "status": 422, "detail": str(error)}).encode()
    except Exception as error:  # of the work, not of Kafka: its caller should know, and all other tasks go on
        traceback.print_exc()
        name = type(error).__name__
        problem = {"type": "urn:kallback:unexpected-error", "status": 500, "detail": f"{name}: {error}"}
        return "failed", json.dumps({**problem, "exception": [name]}).encode()


def headers_of(record: Message) -> dict[str, bytes]:
    try:
        return {name: value for name, value in read_headers(record) or [] if value is not None}
    except SystemError:
        return {}


def is_task(headers: dict[str, bytes]) -> bool:  # other records are skipped: a worker must not crash on them
    known = headers.get("kallback-version") == b"1" and headers.get("kallback-reply-to") == RESULTS.encode()
    return known and all(headers.get(name) for name in ("kallback-token", "kallback-task-id"))


def is_late(headers: dict[str, bytes]) -> bool:
    deadline = headers.get("kallback-deadline", b"")
    return re.fullmatch(rb"[0-9]{1,18}", deadline) is not None and time.time() * 1000 > int(deadline)


def send_result(producer: Producer, headers: dict[str, bytes], value: bytes | None) -> None:
    status, result = answer(value)
    failures: list[object] = []
    producer.produce(
        RESULTS,
        key=headers["kallback-task-id"],
        value=result,
        headers=[("kallback-token", headers["kallback-token"]), ("kallback-status", status)],
        on_delivery=lambda error, _: failures.append(error) if error else None,
    )
    if producer.flush(60) or failures:
        raise SystemExit(f"the result was not acknowledged: {failures}")  # Kafka delivers the task again


def main() -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": BROKERS,
            "group.id": GROUP,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "session.timeout.ms": 10_000,
        }
    )
    producer = Producer({"bootstrap.servers": BROKERS, "enable.idempotence": True})
    consumer.subscribe([TASKS])
    stops: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stops.append(number))
    try:
        while not stops:
            if (record := consumer.poll(1.0)) is not None:
                take(consumer, producer, record)
    finally:
        consumer.close()  # leaves the group: another worker goes on at once


def take(consumer: Consumer, producer: Producer, record: Message) -> None:
    if error := record.error():
        print(f"Kafka: {error}", file=sys.stderr, flush=True)  # the client goes on by itself
        return
    headers = headers_of(record)
    if not is_task(headers):
        print(f"skipped, no task: {record.topic()}[{record.partition()}] offset {record.offset()}", flush=True)
    elif not is_late(headers):
        send_result(producer, headers, record.value())
    consumer.commit(message=record, asynchronous=False)


if __name__ == "__main__":
    main()
