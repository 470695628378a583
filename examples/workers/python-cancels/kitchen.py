"""A worker in Python, with confluent-kafka alone, for long tasks: it stops for cancels and sends heartbeats.

It does one task at a time. The main thread makes all calls to Kafka; one other thread does the work.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from operator import methodcaller
from threading import Event
from typing import Any, cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

BROKERS = os.environ.get("BROKERS", "localhost:9092")
GROUP = os.environ.get("GROUP", "kitchen")
TASKS = os.environ.get("TASKS", "restaurant.prepare")
CONTROL = os.environ.get("CONTROL", "kallback.control")
RESULTS = os.environ.get("RESULTS", "kallback.results")  # this worker answers to no other topic
PROGRESS = os.environ.get("PROGRESS", "kallback.progress")  # and sends progress to no other

TASK_ID_CHARACTERS, SECRET_CHARACTERS, CANCEL_BYTES = 16, 43, 1024  # a longer one is no cancel

# Like record.headers(), which can crash Python on a header name that is not UTF-8; this raises SystemError then.
read_headers: Callable[[Message], list[tuple[str, bytes | None]] | None] = methodcaller("headers")


class Work:
    """A task that is under way, as the thread of the work sees it."""

    def __init__(self) -> None:
        self.stop = Event()
        self.details = b""  # of the next heartbeat

    def report(self, details: Any) -> None:
        self.details = json.dumps(details).encode()

    def answer(self, value: bytes | None) -> tuple[str, bytes] | None:  # None: cancelled
        try:
            result = cook(json.loads(value or b"null"), self)
            return None if result is None else ("completed", json.dumps(result, allow_nan=False).encode())
        except (ValueError, RecursionError) as error:  # what the caller should know, and no bugs
            return "failed", json.dumps({"type": "BadOrder", "status": 422, "detail": str(error)}).encode()


def cook(order: Any, work: Work) -> dict[str, int] | None:  # None: cancelled
    match order:
        case {"id": _, "seconds": int(seconds)}:
            pass
        case {"id": _}:
            seconds = 0
        case _:
            raise ValueError("an order has an id")
    for done in range(seconds):
        if work.stop.wait(1):  # in your own work: look at work.stop.is_set() between two steps
            return None
        work.report({"done": done + 1, "of": seconds})
    return {"minutes": 12}


def headers_of(record: Message) -> dict[str, bytes]:
    try:
        return {name: value for name, value in read_headers(record) or [] if value is not None}
    except SystemError:
        return {}


def number(headers: dict[str, bytes], name: str) -> int | None:
    value = headers.get(name, b"")
    return int(value) if re.fullmatch(rb"[0-9]{1,18}", value) else None


def is_task(headers: dict[str, bytes]) -> bool:  # other records are skipped: a worker must not crash on them
    known = headers.get("kallback-version") == b"1" and headers.get("kallback-reply-to") == RESULTS.encode()
    return known and all(headers.get(name) for name in ("kallback-token", "kallback-task-id"))


def is_late(headers: dict[str, bytes]) -> bool:
    limits = (number(headers, name) for name in ("kallback-deadline", "kallback-start-by"))
    return any(limit is not None and time.time() * 1000 > limit for limit in limits)


def is_authentic(cancel: dict[str, object], task: dict[str, bytes]) -> bool:
    """Whether a cancel comes from the caller of a task, from its headers."""
    if (wanted := task.get("kallback-cancel-hash")) is None:
        return True  # an older sdk wrote the task
    if not isinstance(text := cancel.get("secret"), str):
        return False
    for _ in range(16):
        digest = hashlib.sha256(text.encode(errors="replace")).digest()
        text = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if hmac.compare_digest(text.encode(), wanted):
            return True
    return False


def is_cancel(record: Any) -> bool:  # other records are skipped: the topic may have those of later versions
    cancel = cast("dict[str, Any]", record) if isinstance(record, dict) else {}
    task, attempt, secret = (cancel.get(name) for name in ("task", "attempt", "secret"))
    return (
        (cancel.get("kallback"), cancel.get("action")) == (1, "cancel")
        and (isinstance(task, str) and len(task) <= TASK_ID_CHARACTERS)
        and (attempt is None or isinstance(attempt, int))
        and (secret is None or (isinstance(secret, str) and len(secret) <= SECRET_CHARACTERS))
    )


class Cancels:
    """The cancels of all tasks, also of those that have not come yet: a cancel can overtake its task.

    Only the task tells real cancels from forged ones. So there are several of one task, and a bound for everything.
    """

    def __init__(self, most_tasks: int = 50_000) -> None:
        self.most_tasks = most_tasks
        self.by_task: dict[str, list[dict[str, Any]]] = {}

    def remember(self, value: bytes | None) -> None:
        try:
            cancel: Any = json.loads(value) if value and len(value) <= CANCEL_BYTES else None
        except (ValueError, RecursionError):
            return
        if not is_cancel(cancel):
            return
        kept = self.by_task.setdefault(cancel["task"], [])
        if (found := {"attempt": cancel.get("attempt"), "secret": cancel.get("secret")}) not in kept:
            kept.append(found)
        del kept[4:-4]  # the first four and the latest four stay
        if len(self.by_task) > self.most_tasks:
            del self.by_task[next(iter(self.by_task))]  # the oldest

    def cover(self, task: dict[str, bytes]) -> bool:
        attempt = number(task, "kallback-attempt") or 1
        kept = self.by_task.get(task["kallback-task-id"].decode(errors="replace"), [])
        covering = [cancel for cancel in kept if cancel["attempt"] is None or attempt <= cancel["attempt"]]
        return any(is_authentic(cancel, task) for cancel in covering)


def poll(consumer: Consumer, seconds: float) -> Message | None:
    record = consumer.poll(seconds)
    if record is not None and (error := record.error()):
        print(f"Kafka: {error}", file=sys.stderr, flush=True)  # the client goes on by itself
        return None
    return record


def say_if_lost(error: KafkaError | None, record: Message) -> None:
    if error:
        print(f"not sent to {record.topic()}: {error}", file=sys.stderr, flush=True)


class Worker:
    def __init__(self) -> None:
        reading = {
            "bootstrap.servers": BROKERS,
            "group.id": GROUP,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "session.timeout.ms": 10_000,
        }
        self.tasks = Consumer(reading)
        self.control = Consumer({**reading, "enable.partition.eof": True})  # it does not subscribe: no group divides it
        self.results = Producer({"bootstrap.servers": BROKERS, "enable.idempotence": True})
        self.progress = Producer({"bootstrap.servers": BROKERS, "message.timeout.ms": 5_000})  # then comes the next
        self.thread = ThreadPoolExecutor(1)
        self.busy = False
        self.early: deque[Message] = deque()  # records that came during another task
        self.cancels = Cancels()
        self.answered: deque[bytes] = deque(maxlen=1_000)  # tokens: a copy of a finished attempt is not done again

    def run(self) -> None:
        self.read_control_to_its_end()
        self.tasks.subscribe([TASKS], on_assign=self.on_assign)
        try:
            while True:
                record = self.early.popleft() if self.early else poll(self.tasks, 1.0)
                self.read_control()
                if record is not None:
                    self.take(record)
        finally:
            self.tasks.close()  # leaves the group: another worker gets what was not committed at once

    def read_control_to_its_end(self) -> None:
        topic = self.control.list_topics(CONTROL, timeout=30).topics[CONTROL]
        if topic.error:
            raise SystemExit(f"{CONTROL} cannot be read, so cancels would have no effect: {topic.error}")
        self.control.assign([TopicPartition(CONTROL, partition, OFFSET_BEGINNING) for partition in topic.partitions])
        unread = set(topic.partitions)
        while unread:
            unread -= self.read_control(1.0)

    def read_control(self, seconds: float = 0) -> set[int | None]:
        """Remember all cancels that have come; the partitions whose end was reached."""
        ends: set[int | None] = set()
        for record in self.control.consume(1_000, seconds):
            if (error := record.error()) is None:
                self.cancels.remember(record.value())
            elif error.code() == KafkaError._PARTITION_EOF:
                ends.add(record.partition())
            else:
                print(f"Kafka: {error}", file=sys.stderr, flush=True)
        return ends

    def take(self, record: Message) -> None:
        headers, place = headers_of(record), f"{record.topic()}[{record.partition()}] offset {record.offset()}"
        if not is_task(headers):
            print(f"skipped, no task: {place}", flush=True)
        elif is_late(headers) or headers["kallback-token"] in self.answered:
            print(f"skipped, late or a copy: {place}", flush=True)
        elif self.cancels.cover(headers) or not self.do(headers, record.value()):
            print(f"cancelled: {place}", flush=True)
        try:
            self.tasks.commit(message=record, asynchronous=False)
        except KafkaException as error:  # the partition has gone to another worker, which gets the task again
            print(f"not committed: {place}: {error}", file=sys.stderr, flush=True)

    def do(self, task: dict[str, bytes], value: bytes | None) -> bool:  # False: cancelled
        work, self.busy = Work(), True
        every = (number(task, "kallback-heartbeat-every") or 5_000) / 1000
        self.send_progress(task, "started", b"")
        future, next_at = self.thread.submit(work.answer, value), time.monotonic() + every
        try:
            while not wait([future], 0.1).done:
                self.stay_in_the_group()
                self.read_control()
                if self.cancels.cover(task):
                    work.stop.set()
                if time.monotonic() >= next_at:
                    self.send_progress(task, "heartbeat", work.details)
                    next_at = time.monotonic() + every
        finally:
            work.stop.set()  # this process stops: the work must not go on
        self.busy = False
        self.tasks.resume(self.tasks.assignment())
        if (answer := future.result()) is not None:
            self.send_result(task, *answer)
        return answer is not None

    def on_assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.tasks.assign(partitions)
        if self.busy:
            self.tasks.pause(partitions)
        else:
            self.tasks.resume(partitions)  # a partition that comes back is paused as it was when it left

    def stay_in_the_group(self) -> None:
        self.tasks.pause(self.tasks.assignment())
        if (early := poll(self.tasks, 0)) is not None:
            self.early.append(early)

    def send_progress(self, task: dict[str, bytes], signal: str, details: bytes) -> None:
        if task.get("kallback-progress-to") != PROGRESS.encode():
            return
        echoed = [(name, task[name]) for name in ("kallback-token", "kallback-heartbeat-every") if name in task]
        told = [("kallback-signal", signal.encode()), ("kallback-at", str(time.time_ns() // 1_000_000).encode())]
        self.progress.produce(
            PROGRESS, key=task["kallback-task-id"], value=details, headers=[*echoed, *told], on_delivery=say_if_lost
        )
        self.progress.poll(0)

    def send_result(self, task: dict[str, bytes], status: str, result: bytes) -> None:
        failures: list[object] = []
        self.results.produce(
            RESULTS,
            key=task["kallback-task-id"],
            value=result,
            headers=[("kallback-token", task["kallback-token"]), ("kallback-status", status)],
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
        if self.results.flush(60) or failures:
            raise SystemExit(f"the result was not acknowledged: {failures}")  # Kafka delivers the task again
        self.answered.append(task["kallback-token"])


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit())
    Worker().run()
