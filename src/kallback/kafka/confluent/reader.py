"""A groupless reader of one topic on librdkafka: every process sees every record.

Ownership: all calls into librdkafka are made, one after the other, by the only thread of an executor. A *reading*
(a short poll there) ends with records that wait in `_ready` until a `fetch` returns them: a cancelled fetch leaves the
reading running and takes nothing.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from kallback.kafka.confluent.scan import TopicScan
from kallback.lifecycle import StartStop
from kallback.protocol.errors import KafkaUnavailableError

if TYPE_CHECKING:
    from kallback.kafka.records import Record
    from kallback.settings import KafkaSettings


class ConfluentReader(StartStop):
    """A `TopicReader`.

    Args:
        since_ms: read from the first record of this time on (epoch milliseconds); default: from the beginning.
    """

    def __init__(self, settings: KafkaSettings, topic: str, *, since_ms: int | None = None) -> None:
        self._settings = settings
        self._topic = topic
        self._since_ms = since_ms
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kallback-reader")
        self._source: TopicScan | None = None
        self._reading: asyncio.Future[list[Record]] | None = None
        self._ready: list[Record] = []
        self._caught_up = asyncio.Event()
        self._stopped = False

    @property
    def caught_up(self) -> asyncio.Event:
        """Set once everything that was there at the start has been returned."""
        return self._caught_up

    async def start(self) -> None:
        """Connect and find the partitions."""
        if self._stopped:
            raise KafkaUnavailableError("this reader is stopped; make a new one")
        if self._source is not None:
            return
        self._source = TopicScan(self._settings, self._topic)
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._source.assign_all, self._since_ms)
        except BaseException:
            await self.stop()
            raise
        self._look_for_the_end(self._source)

    async def fetch(self, timeout: float) -> list[Record]:  # noqa: ASYNC109 - a poll's patience
        """Return the next records."""
        source = self._source
        if source is None:
            raise KafkaUnavailableError("this reader is not running; start it first")
        try:
            async with asyncio.timeout(timeout):
                while not self._ready and (source.end_offsets or self._caught_up.is_set()):
                    await self._read(source)
        except TimeoutError:
            pass  # the reading goes on; the next fetch has what it finds
        records, self._ready = self._ready, []
        self._look_for_the_end(source)
        return records

    async def stop(self) -> None:
        """Close."""
        self._stopped = True
        source, self._source = self._source, None
        if source is not None:
            if self._reading is not None:
                await asyncio.gather(self._reading, return_exceptions=True)
            await asyncio.get_running_loop().run_in_executor(self._thread, source.close)
        self._thread.shutdown(wait=False)

    async def _read(self, source: TopicScan) -> None:
        if self._reading is None:
            self._reading = asyncio.get_running_loop().run_in_executor(self._thread, source.poll)
        await asyncio.wait([self._reading])
        reading, self._reading = self._reading, None
        self._ready += reading.result()

    def _look_for_the_end(self, source: TopicScan) -> None:
        if not source.end_offsets and self._reading is None:
            self._caught_up.set()
