"""Progress of an attempt while it runs: a `started` record, then heartbeats. Best effort.

There is one sender for each attempt whose task names a progress topic. The function leaves details from any thread; a
task on the loop sends one record at a time, with the newest details only. So an outage of Kafka delays and fails
nothing but progress, and holds one value for each attempt.

Heartbeats go on until the outcome is durable, not only until the function ends: a worker whose result waits for Kafka
is not lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final

from kallback.kafka import OutgoingRecord, Producer
from kallback.protocol.errors import KafkaUnavailableError, KallbackError
from kallback.protocol.progress import Signal, progress_headers
from kallback.protocol.tasks import TaskHeaders
from kallback.workers.backoff import Backoff

logger = logging.getLogger(__name__)

_UNASKED_EVERY: Final = 2.0  # seconds; twice the pause between details where the task asks for no heartbeats
_FLUSH_TIMEOUT_S: Final = 1.0  # seconds for the last details before a failed result


@dataclass(frozen=True, slots=True)
class HeartbeatSenders:
    """Makes the heartbeat_senders of a worker."""

    producer: Producer
    clock: Callable[[], float]
    backoff: Backoff

    def of(self, headers: TaskHeaders) -> HeartbeatSender | None:
        """The heartbeat_sender of an attempt; None when nobody wants to know."""
        return None if headers.progress_to is None else HeartbeatSender(headers, headers.progress_to, self)


class HeartbeatSender:
    """The progress of one attempt. Made on the loop that sends it."""

    def __init__(self, headers: TaskHeaders, topic: str, means: HeartbeatSenders) -> None:
        self._headers = headers
        self._topic = topic
        self._means = means
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._lock = threading.Lock()  # guards the next two
        self._details = b""
        self._woken = False
        self._sent = 0.0
        every = headers.heartbeat_every_ms
        self._pause: Final = (_UNASKED_EVERY if every is None else every / 1000) / 2

    def beat(self, details: bytes) -> None:
        """Leave details for the next heartbeat; any thread. Without details the earlier ones stay."""
        with self._lock:
            if not details:
                return  # signs of life are sent anyway
            self._details = details
            woken, self._woken = self._woken, True
        if not woken:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the worker is gone, nobody listens
                self._loop.call_soon_threadsafe(self._wake.set)

    @contextlib.asynccontextmanager
    async def sending(self, on_started: Callable[[], None]) -> AsyncGenerator[None]:
        """Send while the body runs.

        Args:
            on_started: is called when Kafka has acknowledged that the attempt started.
        """
        sending = asyncio.create_task(self._run(on_started), name=f"kallback-heartbeat_sender-{self._headers.task_id}")
        try:
            yield
        finally:
            sending.cancel()
            await asyncio.wait({sending})

    async def flush(self) -> None:
        """Send the newest details if they wait: the next attempt of a failed one should have them."""
        if not self._details:
            return
        with contextlib.suppress(TimeoutError, KallbackError):
            async with asyncio.timeout(_FLUSH_TIMEOUT_S):
                await self._send(Signal.HEARTBEAT, self._now_ms())

    async def _run(self, on_started: Callable[[], None]) -> None:
        try:
            await self._deliver(Signal.STARTED, self._now_ms())
            on_started()
            while True:
                await self._due()
                await self._deliver(Signal.HEARTBEAT)
        except KallbackError as error:
            logger.warning("%r: its progress is not told any more: %s", self._headers, error)
        except Exception:
            logger.exception("%r: its progress is not told any more", self._headers)

    async def _due(self) -> None:
        """Wait until details may be sent, then until there are some or a heartbeat is due."""
        await asyncio.sleep(max(0.0, self._sent + self._pause - self._loop.time()))
        patience = None if self._headers.heartbeat_every_ms is None else self._pause
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._wake.wait()

    async def _deliver(self, signal: Signal, at_ms: int | None = None) -> None:
        failures = 0
        while True:
            try:
                await self._send(signal, self._now_ms() if at_ms is None else at_ms)
            except KafkaUnavailableError as error:
                logger.debug("%r: %s is not sent, the next try is soon: %s", self._headers, signal, error)
                await asyncio.sleep(self._means.backoff.delay(failures))
                failures += 1
            else:
                return

    async def _send(self, signal: Signal, at_ms: int) -> None:
        headers = self._headers
        echoed = progress_headers(headers.token, signal, at_ms, headers.heartbeat_every_ms)
        details = self._take()
        self._sent = self._loop.time()
        try:
            await self._means.producer.send(
                OutgoingRecord(self._topic, details or None, headers.task_id.encode(), echoed)
            )
        except BaseException:
            self._put_back(details)
            raise

    def _take(self) -> bytes:
        self._wake.clear()
        with self._lock:
            self._woken = False
            details, self._details = self._details, b""
            return details

    def _put_back(self, details: bytes) -> None:
        with self._lock:
            self._details = self._details or details

    def _now_ms(self) -> int:
        return int(self._means.clock() * 1000)
