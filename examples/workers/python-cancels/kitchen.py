"""A worker in Python, with confluent-kafka alone, for long tasks.

It stops for cancels, sends heartbeats, and hands back what is under way when it is stopped. It does one task at a time.
The main thread makes all calls to Kafka; one other thread does the work.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import os
import re
import signal
import sys
import time
import traceback
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

GRACE_S = (
    10  # for the work to end after SIGTERM; what does not end is not handed back: another worker gets the task again
)
TASK_ID_CHARACTERS, SECRET_CHARACTERS, CANCEL_BYTES = 16, 43, 1024  # a longer one is no cancel

# Like record.headers(), which can crash Python on a header name that is not UTF-8; this raises SystemError then.
read_headers: Callable[[Message], list[tuple[str, bytes | None]] | None] = methodcaller("headers")


class Work:
    """A task that is under way, as the thread of the work sees it."""

    def __init__(self, task: dict[str, bytes], record: Message) -> None:
        self.task, self.record = task, record
        self.is_ours = True  # no other worker has got the partition: the offset is committed at the end
        self.stop = Event()
        self.details = task.get("kallback-last-details", b"")  # of the next heartbeat

    def last_details(self) -> Any:  # how far an earlier attempt came, as it was reported; None: unknown
        try:
            return json.loads(self.task.get("kallback-last-details", b"null"))
        except (ValueError, RecursionError):
            return None

    def report(self, details: Any) -> None:
        self.details = json.dumps(details).encode()

    def answer(self) -> tuple[str, bytes] | None:  # None: stopped, and the caller takes nothing back
        try:
            result = cook(json.loads(self.record.value() or b"null"), self)
            return self.handed_back() if result is None else ("completed", json.dumps(result, allow_nan=False).encode())
        except (ValueError, RecursionError) as error:  # what the caller should know
            return self.failed({"type": "BadOrder", "status": 422, "detail": str(error)})
        except BaseException as error:  # of the work, not of Kafka: its caller should know, and all other tasks go on
            return self.handed_back() if self.stop.is_set() else self.unexpected(error)

    def unexpected(self, bug: BaseException) -> tuple[str, bytes]:
        traceback.print_exception(bug)
        name = type(bug).__name__
        problem = {"type": "urn:kallback:unexpected-error", "status": 500, "detail": f"{name}: {bug}"}
        return self.failed({**problem, "exception": [name]})

    def handed_back(self) -> tuple[str, bytes] | None:
        if not self.is_taken_back():
            return None
        return self.failed({"type": "urn:kallback:handed-back", "status": 503, "retryable": True})

    def is_taken_back(self) -> bool:
        return self.task.get("kallback-hand-back") == b"1"

    def failed(self, problem: dict[str, Any]) -> tuple[str, bytes]:
        last = {"last_details": self.details.decode(errors="replace")} if self.is_taken_back() and self.details else {}
        return "failed", json.dumps({**problem, **last}).encode()


def cook(order: Any, work: Work) -> dict[str, int] | None:  # None: stopped
    match order:
        case {"id": _, "seconds": int(seconds)}:
            pass
        case {"id": _}:
            seconds = 0
        case _:
            raise ValueError("an order has an id")
    match work.last_details():
        case {"done": int(done)}:  # how far an earlier attempt came
            pass
        case _:
            done = 0
    while done < seconds:
        if work.stop.wait(1):  # in your own work: look at work.stop.is_set() between two steps
            return None
        done += 1
        work.report({"done": done, "of": seconds})
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
        self.work: Work | None = None  # what is under way
        self.stops = False
        self.early: deque[Message] = deque()  # records that came during another task
        self.cancels = Cancels()
        self.answered: deque[bytes] = deque(maxlen=1_000)  # tokens: a copy of a finished attempt is not done again

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self.on_stop)
        self.read_control_to_its_end()
        self.tasks.subscribe([TASKS], on_assign=self.on_assign, on_revoke=self.on_revoke)
        try:
            while not self.stops:
                record = self.early.popleft() if self.early else poll(self.tasks, 1.0)
                self.read_control()
                if record is not None:
                    self.take(record)
        finally:
            self.tasks.close()  # leaves the group: another worker gets what was not committed at once

    def on_stop(self, _number: int, _frame: object) -> None:
        self.stops = True

    def read_control_to_its_end(self) -> None:
        topic = self.control.list_topics(CONTROL, timeout=30).topics[CONTROL]
        if topic.error:
            raise SystemExit(f"{CONTROL} cannot be read, so cancels would have no effect: {topic.error}")
        self.control.assign([TopicPartition(CONTROL, partition, OFFSET_BEGINNING) for partition in topic.partitions])
        unread = set(topic.partitions)
        while unread and not self.stops:
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
        elif self.cancels.cover(headers):
            print(f"cancelled: {place}", flush=True)
        elif not self.do(Work(headers, record)):
            return
        self.commit(record)

    def commit(self, record: Message) -> None:
        try:
            self.tasks.commit(message=record, asynchronous=False)
        except KafkaException as error:  # the group is changing: another worker gets the task again
            place = f"{record.topic()}[{record.partition()}] offset {record.offset()}"
            print(f"not committed: {place}: {error}", file=sys.stderr, flush=True)

    def do(self, work: Work) -> bool:
        """Do a task; whether its offset is to be committed."""
        self.work = work
        self.send_progress(work, "started")
        future, cancelled = self.thread.submit(work.answer), False
        every = (number(work.task, "kallback-heartbeat-every") or 5_000) / 1000
        next_at, end = time.monotonic() + every, math.inf
        try:
            while not wait([future], 0.1).done and time.monotonic() < end:
                self.stay_in_the_group()
                self.read_control()
                if self.cancels.cover(work.task):
                    cancelled = True
                    work.stop.set()
                if self.stops and not work.stop.is_set():
                    end = time.monotonic() + GRACE_S
                    work.stop.set()
                if time.monotonic() >= next_at:
                    self.send_progress(work, "heartbeat")
                    next_at = time.monotonic() + every
        finally:
            work.stop.set()  # if this process ends, the work must not go on
        self.work = None
        self.tasks.resume(self.tasks.assignment())
        answer = future.result() if future.done() else None
        if cancelled:
            print(f"cancelled: task {work.task['kallback-task-id'].decode(errors='replace')}", flush=True)
        elif answer is not None:
            self.send_result(work.task, *answer)
        return work.is_ours and (cancelled or answer is not None)

    def on_assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.tasks.assign(partitions)
        if self.work is not None:
            self.tasks.pause(partitions)
        else:
            self.tasks.resume(partitions)  # a partition that comes back is paused as it was when it left

    def on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Other workers get these partitions. What is under way goes on here.

        An attempt whose caller sends another one if its heartbeats stop needs its record no longer, so that no other
        worker begins it anew. All others are delivered again, because only that continues them if this process dies;
        the first result counts.
        """
        gone = {(each.topic, each.partition) for each in partitions}
        self.early = deque(each for each in self.early if (each.topic(), each.partition()) not in gone)
        work = self.work
        if work is None or not work.is_ours or (work.record.topic(), work.record.partition()) not in gone:
            return
        if work.task.get("kallback-retry-lost") == b"1":
            self.commit(work.record)
        work.is_ours = False

    def stay_in_the_group(self) -> None:
        self.tasks.pause(self.tasks.assignment())
        if (early := poll(self.tasks, 0)) is not None:
            self.early.append(early)

    def send_progress(self, work: Work, signal: str) -> None:
        task = work.task
        if task.get("kallback-progress-to") != PROGRESS.encode():
            return
        echoed = [(name, task[name]) for name in ("kallback-token", "kallback-heartbeat-every") if name in task]
        told = [("kallback-signal", signal.encode()), ("kallback-at", str(time.time_ns() // 1_000_000).encode())]
        self.progress.produce(
            PROGRESS,
            key=task["kallback-task-id"],
            value=work.details,
            headers=[*echoed, *told],
            on_delivery=say_if_lost,
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
    Worker().run()
