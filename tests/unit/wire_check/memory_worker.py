"""A worker on a broker in memory, which keeps the rules of the wire but for those that a test takes away."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from kallback.kafka import MemoryBroker, MemoryProducer, MemoryReader, OutgoingRecord, Record, TopicGroup
from kallback.protocol import (
    Cancel,
    CancelProof,
    InvalidControlError,
    InvalidTaskError,
    Problem,
    TaskHeaders,
    completed_headers,
    failed_headers,
)
from kallback.wire_check import CheckConnections, CheckedTopics

LONG = b'{"id": "long"}'
LONG_LOOKS, LONG_LOOK_S = 12, 0.05
AskGroups = Callable[[], Awaitable[Sequence[TopicGroup] | None]]
TOPICS = CheckedTopics(tasks="prepare", results="check.results", progress="check.progress", control="control")


class CarelessError(Exception):
    """What a careless worker dies of."""


class MemoryWorker:
    """Answers tasks.

    Args:
        broker: where.
        habits: bad ones, by name; see the uses of `_has`.
    """

    def __init__(self, broker: MemoryBroker, habits: Sequence[str]) -> None:
        self._broker = broker
        self._habits = frozenset(habits)
        self._done = set[tuple[str, int]]()
        self._cancels = list[Cancel]()

    def _has(self, habit: str) -> bool:
        return habit in self._habits

    async def run(self) -> None:
        """Work until cancelled, or until it dies."""
        tasks, control = MemoryReader(self._broker, TOPICS.tasks), MemoryReader(self._broker, TOPICS.control)
        await asyncio.gather(tasks.start(), control.start())
        while True:
            for record in await control.fetch(0):
                self._remember(record)
            for record in await tasks.fetch(0.01):
                if self._has("takes its time"):
                    await asyncio.sleep(0.3)
                try:
                    if not await self._is_long(record, control):
                        self._take(record)
                except CarelessError:
                    return

    async def _is_long(self, record: Record, control: MemoryReader) -> bool:
        """Whether it is a long request that was cancelled while it was done."""
        if record.value != LONG or self._has("never answers"):
            return False
        for _ in range(LONG_LOOKS):
            await asyncio.sleep(LONG_LOOK_S)
            for each in () if self._has("does not stop") else await control.fetch(0):
                self._remember(each)
            if self._is_cancelled(TaskHeaders.decode(record.headers)):
                return True
        return False

    def _remember(self, record: Record) -> None:
        try:
            self._cancels.append(Cancel.decode(record.value))
        except InvalidControlError:
            return

    def _take(self, record: Record) -> None:
        if self._has("never answers"):
            return
        if (
            self._has("answers a record of before the check as it comes")
            and not record.headers
            and record.value == b"old"
        ):
            self._broker.append(OutgoingRecord(TOPICS.results, b"{}", None, (("kallback-token", b"of no task"),)))
            return
        if self._has("knows FastStream's headers only"):
            self._answer_as_faststream(record)
            return
        if not record.headers and self._has("dies of a record without headers"):
            raise CarelessError
        try:
            headers = TaskHeaders.decode(record.headers)
        except InvalidTaskError:
            if not (record.headers and self._has("does tasks of every version")):
                return
            version = [each for each in record.headers if each[0] != "kallback-version"]
            headers = TaskHeaders.decode((("kallback-version", b"1"), *version))
        if not self._skips(headers):
            self._answer(record, headers)

    def _skips(self, headers: TaskHeaders) -> bool:
        late = headers.deadline_ms is not None and headers.deadline_ms < time.time() * 1000
        key = (headers.task_id, 0 if self._has("knows tasks, not attempts") else headers.attempt)
        known = key in self._done
        self._done.add(key)
        return (late and not self._has("does late tasks")) or known or self._is_cancelled(headers)

    def _is_cancelled(self, headers: TaskHeaders) -> bool:
        anyone = self._has("believes every cancel")
        return any(
            cancel.covers(headers.task_id, headers.attempt)
            and (anyone or cancel.proof(headers.cancel_hash) is CancelProof.AUTHENTIC)
            for cancel in self._cancels
        )

    def _answer(self, record: Record, headers: TaskHeaders) -> None:
        value, fails = b'{"minutes": 12}', not _is_order(record.value)
        if fails and not self._has("answers success for failures"):
            if self._has("says nothing of failures"):
                return
            kind, value = failed_headers(headers.token), Problem("BadOrder", 422).encode()
        else:
            kind = completed_headers(headers.token)
        kept = kind[1:] if self._has("copies no headers") else kind
        for _ in range(2 if self._has("answers twice") else 1):
            self._broker.append(OutgoingRecord(headers.reply_to, value, record.key, kept))

    def _answer_as_faststream(self, record: Record) -> None:
        found = dict(record.headers)
        if "reply_to" not in found:
            return
        failed = () if _is_order(record.value) else (("x-error", b"BadOrder"),)
        headers = (("correlation_id", found["correlation_id"]), *failed)
        value = b"no order" if failed else b'{"minutes": 12}'
        self._broker.append(OutgoingRecord((found["reply_to"] or b"").decode(), value, record.key, headers))


def _is_order(value: bytes | None) -> bool:
    try:
        order = json.loads(value or b"null")
    except ValueError:
        return False
    return isinstance(order, dict) and "id" in order


async def no_groups() -> Sequence[TopicGroup]:
    """Nobody is known to read."""
    return ()


@asynccontextmanager
async def checked_worker(
    *habits: str, earlier: Sequence[OutgoingRecord] = (), groups: AskGroups = no_groups
) -> AsyncGenerator[CheckConnections]:
    """Run such a worker, and return what the checks need.

    Args:
        habits: of the worker.
        earlier: records that are there before the check begins.
        groups: says who reads the topic of tasks.
    """
    broker = MemoryBroker()
    for topic in (TOPICS.tasks, TOPICS.results, TOPICS.progress, TOPICS.control):
        broker.create_topic(topic)
    for record in earlier:
        broker.append(record)
    working = asyncio.create_task(MemoryWorker(broker, habits).run())
    try:
        async with (
            MemoryProducer(broker) as producer,
            MemoryReader(broker, TOPICS.results) as results,
            MemoryReader(broker, TOPICS.progress) as progress,
        ):
            of_tasks = sum(record.topic == TOPICS.tasks for record in earlier)
            yield CheckConnections(producer, results, progress, groups, of_tasks)
    finally:
        working.cancel()
        await asyncio.wait([working])
