"""A groupless reader of one topic on librdkafka: every process sees every record.

Ownership: all calls into librdkafka are made, one after the other, by one daemon thread. A *reading* (a short poll
there) ends with records that wait in `_ready` until a `fetch` returns them: a cancelled fetch takes nothing and leaves
the reading running. `stop` has a bound: a call that does not return is left behind with its thread.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from kallback.kafka.confluent.client import log
from kallback.kafka.confluent.login import prepare_login
from kallback.kafka.confluent.scan import TopicScan
from kallback.lifecycle import CallThread, StartStop
from kallback.protocol.errors import KafkaUnavailableError

if TYPE_CHECKING:
    from kallback.kafka.records import Record
    from kallback.settings import KafkaSettings

_STOP_TIMEOUT_S: Final = 15.0
"""For the reading that runs and for closing; librdkafka gives up on its brokers long before."""


class ConfluentReader(StartStop):
    """A `TopicReader`.

    Args:
        since_ms: read from the first record of this time on (epoch milliseconds); default: from the beginning.
    """

    def __init__(self, settings: KafkaSettings, topic: str, *, since_ms: int | None = None) -> None:
        self._settings = settings
        self._topic = topic
        self._since_ms = since_ms
        self._thread = CallThread("kallback-reader")
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
        await prepare_login(self._settings)
        self._source = source = TopicScan(self._settings, self._topic, follow=True)
        try:
            await self._thread.submit(lambda: source.assign_all(self._since_ms))
        except BaseException:
            await self.stop()
            raise
        self._look_for_the_end(source)

    async def fetch(self, timeout: float) -> list[Record]:  # noqa: ASYNC109 - a poll's patience
        """Return the next records."""
        source = self._source
        if source is None:
            raise KafkaUnavailableError("this reader is not running; start it first")
        try:
            async with asyncio.timeout(timeout):
                while not self._ready and self._has_more(source):
                    await self._read(source)
        except TimeoutError:
            pass  # the reading goes on; the next fetch has what it finds
        records, self._ready = self._ready, []
        self._look_for_the_end(source)
        return records

    async def stop(self) -> None:
        """Close; without an end within a bound the client is left behind."""
        self._stopped = True
        source, self._source = self._source, None
        if source is None:
            return
        source.abandon()
        if self._reading is not None:
            self._reading.add_done_callback(_take_error)
        try:
            await self._thread.finish(source.close, _STOP_TIMEOUT_S)
        except TimeoutError as error:
            log.error("a reader was not closed", topic=self._topic, reason=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is no longer used
            log.warning("a reader was not closed", topic=self._topic, reason=repr(error))

    async def _read(self, source: TopicScan) -> None:
        if self._reading is None:
            self._reading = self._thread.submit(source.poll)
        await asyncio.wait([self._reading])
        reading, self._reading = self._reading, None
        self._ready += reading.result()

    def _has_more(self, source: TopicScan) -> bool:
        """Whether to read on: what an earlier fetch did not wait for comes first, also if it was the end."""
        return self._reading is not None or bool(source.end_offsets) or self._caught_up.is_set()

    def _look_for_the_end(self, source: TopicScan) -> None:
        if not source.end_offsets and self._reading is None:
            self._caught_up.set()


def _take_error(reading: asyncio.Future[list[Record]]) -> None:
    """The caller of `fetch` is gone: asyncio would log an error that was never retrieved."""
    if not reading.cancelled():
        reading.exception()
