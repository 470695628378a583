"""Progress of an attempt while it runs: a `started` record, then heartbeats. Best effort.

There is one sender for each attempt whose task names a progress topic. The function leaves details from any thread; a
task on the loop sends one record at a time, with the newest details only. So an outage of Kafka delays and fails
nothing but progress, and holds one value for each attempt. What goes wrong is tried again for as long as the attempt
runs: a topic that is missing now may be there later.

Heartbeats go on until the outcome is durable, not only until the function ends: a worker whose result waits for Kafka
is not lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from kallback.kafka import OutgoingRecord, Producer
from kallback.lifecycle import Backoff, retry
from kallback.protocol.errors import KafkaUnavailableError, KallbackError, RecordTooLargeError
from kallback.protocol.long_tasks.progress import Signal, progress_headers
from kallback.protocol.tasks import TaskHeaders
from kallback.workers.logs import guarded_logger

logger = guarded_logger(__name__)

_DEFAULT_INTERVAL_S: Final = 2.0  # twice the pause between details where the task asks for no heartbeats
_LEAST_INTERVAL_S: Final = 0.1  # no task type may ask for more; a forged task would fill the topic
_FLUSH_TIMEOUT_S: Final = 1.0  # for the last details before a failed result


class LastDetails:
    """The newest heartbeat details of one attempt, for whoever continues it; from any thread.

    Args:
        before: of the attempt before it: they count until the function says something.
        forward: is given each of them.
    """

    def __init__(self, before: bytes, forward: Callable[[bytes], None]) -> None:
        self.newest = before
        self._forward: Final = forward

    def record(self, details: bytes) -> None:
        """Keep the details of a heartbeat, if it has some, and forward the heartbeat."""
        self.newest = details or self.newest
        self._forward(details)


class HeartbeatSender:
    """The progress of one attempt. Made on the loop that sends it.

    Args:
        headers: of the task.
        topic: where progress goes.
        producer: sends it.
        clock: epoch seconds.
        backoff: between tries.
        partitions: which partitions of the task's topic this worker reads now, as text.
    """

    def __init__(
        self,
        headers: TaskHeaders,
        topic: str,
        producer: Producer,
        clock: Callable[[], float],
        backoff: Backoff,
        partitions: Callable[[], str],
    ) -> None:
        self._headers: Final = headers
        self._topic: Final = topic
        self._producer: Final = producer
        self._clock: Final = clock
        self._backoff: Final = backoff
        self._partitions: Final = partitions
        self._loop: Final = asyncio.get_running_loop()
        self._wake: Final = asyncio.Event()
        self._lock: Final = threading.Lock()  # guards the next two
        self._details = b""
        self._woken = False
        self._sent_at = 0.0
        self._has_warned = False
        every = headers.heartbeat_every_ms
        self._pause: Final = (_DEFAULT_INTERVAL_S if every is None else max(_LEAST_INTERVAL_S, every / 1000)) / 2

    def record(self, details: bytes) -> None:
        """Leave details for the next heartbeat; any thread. Without details the earlier ones stay."""
        with self._lock:
            if not details:
                return  # heartbeats without details are sent anyway
            self._details = details
            woken, self._woken = self._woken, True
        if not woken:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the worker is gone, nothing waits
                self._loop.call_soon_threadsafe(self._wake.set)

    @contextlib.asynccontextmanager
    async def sending(self, on_started: Callable[[], None]) -> AsyncGenerator[None]:
        """Send while the body runs.

        Args:
            on_started: is called when Kafka has acknowledged that the attempt started.
        """
        task = asyncio.create_task(self._send_all(on_started), name=f"kallback-heartbeats-{self._headers.task_id}")
        task.add_done_callback(self._log_end)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    def _log_end(self, task: asyncio.Task[None]) -> None:
        """An error here is a defect: it costs this attempt's progress, and must not pass unseen."""
        if task.cancelled():
            if not task.cancelling():
                logger.error("%r: its progress ended: what it waited for was cancelled", self._headers)
        elif (error := task.exception()) is not None:
            logger.error("%r: its progress ended unexpectedly", self._headers, exc_info=error)

    async def flush(self) -> None:
        """Send the newest details if they wait: the caller can read them until the next attempt begins."""
        if not self._details:
            return
        with contextlib.suppress(TimeoutError, KallbackError):
            async with asyncio.timeout(_FLUSH_TIMEOUT_S):
                await self._send(Signal.HEARTBEAT, self._now_ms())

    async def _send_all(self, on_started: Callable[[], None]) -> None:
        started_ms = self._now_ms()
        await self._deliver(lambda: self._send(Signal.STARTED, started_ms))
        on_started()
        while True:
            await self._due()
            await self._deliver(lambda: self._send(Signal.HEARTBEAT, self._now_ms()))

    async def _due(self) -> None:
        """Wait until details may be sent, then until there are some or a heartbeat is due."""
        await asyncio.sleep(max(0.0, self._sent_at + self._pause - self._loop.time()))
        patience = None if self._headers.heartbeat_every_ms is None else self._pause
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._wake.wait()

    async def _deliver(self, send: Callable[[], Awaitable[None]]) -> None:
        await retry(send, self._backoff, errors=Exception, on_failure=self._on_failure)

    def _on_failure(self, error: Exception, delay: float) -> None:
        if isinstance(error, RecordTooLargeError):
            self._take()  # these details can never be sent
        if isinstance(error, KafkaUnavailableError) or self._has_warned:
            logger.debug("%r: progress is not sent, the next try is in %.1f s: %s", self._headers, delay, error)
            return
        self._has_warned = True
        logger.warning("%r: its progress is not sent, it is tried again while it runs: %s", self._headers, error)

    async def _send(self, signal: Signal, at_ms: int) -> None:
        headers = self._headers
        echoed = progress_headers(headers.token, signal, at_ms, headers.heartbeat_every_ms, self._partitions())
        details = self._take()
        self._sent_at = self._loop.time()
        try:
            await self._producer.send(OutgoingRecord(self._topic, details or None, headers.task_id.encode(), echoed))
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
        return int(self._clock() * 1000)
