"""Puts bad records between the good ones: copies, forgeries, nonsense, answers that come too late; and a backlog.

Who owns what: one task follows each topic from its beginning; records that it answers late wait in tasks of a group.
A reader that gives up is replaced by a new one, and positions seen before are passed over. Every record made here has
the headers `MARK` and `NUMBER`, so that whoever audits the topics knows what it must have become.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final

import msgspec

from chaos.plan import Backlog, Plan
from chaos.work import GRACE, MARK, NEVER, NUMBER, Done, Job, Kind, foreign, result_of, work
from kallback.kafka import ConfluentProducer, ConfluentReader, OutgoingRecord, Record
from kallback.protocol import Attempt, AwakeableId, KafkaUnavailableError, Keyring, TaskHeaders, Token, task_id_of
from kallback.protocol.headers import STATUS, TOKEN
from kallback.settings import Settings

_AFTER_GRACE: Final = 2.0
_PAUSE: Final = 0.5
_NONSENSE: Final = (
    (b'{"number": 1, ', b"completed"),
    (b"\xff\xfe", b"completed"),
    (b"{}", b"half done"),
    (b"[1, 2]", b"failed"),
)
"""Values that are no JSON, a status that is none, a failure that is no problem object."""


class Injector:
    """Follows task topics and results.

    Attributes:
        made: how many records of each kind Kafka has taken.
        waiting: late answers that are still to come.
    """

    def __init__(self, settings: Settings, plan: Plan) -> None:
        self._settings = settings
        self._jobs = plan.jobs
        self._producer = ConfluentProducer(settings.kafka)
        self._keyring = settings.keys.require()
        self._tasks = contextlib.AsyncExitStack()
        self._copied: set[int] = set()
        self.made: Counter[Kind] = Counter()
        self.waiting = 0

    async def start(self) -> None:
        """Follow the topics."""
        await self._producer.start()
        self._tasks.push_async_callback(self._producer.stop)
        results = self._settings.topics.results
        for topic, answer in ((work.topic, self._forge), (foreign.topic, self._answer), (results, self._copy)):
            self._background(self._follow(topic, answer), topic)

    async def stop(self) -> None:
        """Follow no more; twice is fine."""
        await self._tasks.aclose()

    async def write_backlog(self, backlog: Backlog, began: float) -> None:
        """Write results of awakeables without a waiter, at their time; `began` is second 0 on the loop's clock."""
        await asyncio.sleep(began + backlog.at - asyncio.get_running_loop().time())
        value = msgspec.json.encode("x" * backlog.value_bytes)
        async with asyncio.TaskGroup() as group:
            for _ in range(backlog.records):
                token = self._keyring.sign(_token_without_waiter(), self._settings.keys.audience)
                headers = ((TOKEN, token.encode()), (MARK, Kind.BACKLOG.encode()))
                record = OutgoingRecord(self._settings.topics.results, value, secrets.token_bytes(8), headers)
                group.create_task(self._deliver(record, Kind.BACKLOG))

    def _background(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=f"chaos-injector-{name}")

        async def end() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        self._tasks.push_async_callback(end)

    async def _follow(self, topic: str, answer: Callable[[Record], Awaitable[None]]) -> None:
        seen: set[tuple[int, int]] = set()
        while True:
            try:
                async with ConfluentReader(self._settings.kafka, topic) as reader:
                    while True:
                        for record in await reader.fetch(timeout=1):
                            position = (record.partition, record.offset)
                            if position not in seen:
                                seen.add(position)
                                await answer(record)
            except KafkaUnavailableError:
                await asyncio.sleep(_PAUSE)

    async def _forge(self, record: Record) -> None:
        """Answer before the worker does, with a token that proves nothing and a value that must never arrive."""
        job = self._jobs[msgspec.json.decode(record.value or b"", type=Job).number]
        if job.kind is not Kind.FORGED:
            return
        token = TaskHeaders.decode(record.headers).token
        value = msgspec.json.encode(Done(job.number, -1))
        await self._send(job, value, ((TOKEN, self._forged(token, job.number).encode()),), record.key)

    def _forged(self, token: str, number: int) -> str:
        audience = self._settings.keys.audience
        genuine = self._keyring.verify(token, audience)
        forgeries = (
            lambda: Keyring({"chaos": secrets.token_bytes(32)}).sign(genuine, audience),
            lambda: Keyring({"other": secrets.token_bytes(32)}).sign(genuine, audience),
            lambda: self._keyring.sign(genuine, "another-topic"),
            lambda: token[:-1] + ("A" if token[-1] != "A" else "B"),
            lambda: "kb1:not:a:token",
        )
        return forgeries[number % len(forgeries)]()

    async def _answer(self, record: Record) -> None:
        headers = TaskHeaders.decode(record.headers)
        job = self._jobs[msgspec.json.decode(record.value or b"", type=Job).number]
        if job.kind is Kind.LATE:
            self.waiting += 1
            self._background(self._answer_late(job, headers, record.key), f"late-{job.number}")
            return
        value, status = _NONSENSE[job.number % len(_NONSENSE)]
        await self._send(job, value, ((TOKEN, headers.token.encode()), (STATUS, status)), record.key)

    async def _answer_late(self, job: Job, headers: TaskHeaders, key: bytes | None) -> None:
        due = (headers.deadline_ms or 0) / 1000 + GRACE + _AFTER_GRACE
        await asyncio.sleep(max(0.0, due - time.time()))
        value = msgspec.json.encode(result_of(job))
        await self._send(job, value, ((TOKEN, headers.token.encode()),), key)
        self.waiting -= 1

    async def _copy(self, record: Record) -> None:
        """Send a worker's result again."""
        if any(name == MARK for name, _ in record.headers):
            return
        with contextlib.suppress(msgspec.DecodeError):
            number = msgspec.json.decode(record.value or b"", type=Done).number
            job = self._jobs[number]
            if job.kind is Kind.DUPLICATED and number not in self._copied:
                self._copied.add(number)
                await self._send(job, record.value, record.headers, record.key)

    async def _send(
        self, job: Job, value: bytes | None, headers: tuple[tuple[str, bytes | None], ...], key: bytes | None
    ) -> None:
        marked = (*headers, (MARK, job.kind.encode()), (NUMBER, str(job.number).encode()))
        await self._deliver(OutgoingRecord(self._settings.topics.results, value, key, marked), job.kind)

    async def _deliver(self, record: OutgoingRecord, kind: Kind) -> None:
        while True:
            try:
                await self._producer.send(record)
            except KafkaUnavailableError:
                await asyncio.sleep(_PAUSE)
            else:
                self.made[kind] += 1
                return


def _token_without_waiter() -> Token:
    """A token as an sdk makes it, for an awakeable whose completion Restate accepts although no handler waits."""
    raw = secrets.token_bytes(24) + (17).to_bytes(4, "big")
    awakeable = AwakeableId("sign_1" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode())
    deadline_ms = int((time.time() + NEVER) * 1000)
    return Token(work.name, task_id_of(secrets.token_bytes(12)), Attempt(1), awakeable, deadline_ms)
