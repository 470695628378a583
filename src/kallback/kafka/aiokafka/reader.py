"""A groupless reader of one topic on aiokafka: every process sees every record.

aiokafka assigns all partitions itself, also those added later. Records that were fetched wait in `_ready` until a
`fetch` returns them, so cancelling loses none. Positions, not offsets of records, tell when the end is reached:
the last offsets of a topic may be transaction markers or compacted away.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from kallback.kafka.aiokafka.client import aiokafka_config, close, connect, require_topics, translated, within
from kallback.kafka.aiokafka.tolerant_read import read_records
from kallback.kafka.errors import unreachable
from kallback.lifecycle import StartStop
from kallback.protocol.errors import KafkaUnavailableError

from aiokafka import AIOKafkaConsumer, errors  # isort: skip - the check comes first

if TYPE_CHECKING:
    from aiokafka import TopicPartition as ClientPartition

    from kallback.kafka.records import Record
    from kallback.settings import KafkaSettings

_LOOK: Final = 0.02


class AiokafkaReader(StartStop):
    """A `TopicReader`.

    Args:
        since_ms: read from the first record of this time on (epoch milliseconds); default: from the beginning.
    """

    def __init__(self, settings: KafkaSettings, topic: str, *, since_ms: int | None = None) -> None:
        self._settings = settings
        self._topic = topic
        self._since_ms = since_ms
        self._inner: AIOKafkaConsumer | None = None
        self._end_offsets: dict[ClientPartition, int] = {}
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
        if self._inner is not None:
            return
        inner = AIOKafkaConsumer(
            **aiokafka_config(self._settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        try:
            await connect(inner, self._settings)
            await self._begin(inner)
        except BaseException:
            await close(inner)
            raise
        self._inner = inner

    async def fetch(self, timeout: float) -> list[Record]:  # noqa: ASYNC109 - a poll's patience
        """Return the next records."""
        if self._inner is None:
            raise KafkaUnavailableError("this reader is not running; start it first")
        try:
            fetched = await read_records(self._inner, (), timeout_ms=int(timeout * 1000))
            self._ready.extend(record for each in fetched.values() for record in each)
            await self._look_for_the_end(self._inner)
        except errors.KafkaError as error:
            raise translated(error, what=f"reading {self._topic!r}", topic=self._topic) from None
        records, self._ready = self._ready, []
        if not self._end_offsets:
            self._caught_up.set()
        return records

    async def stop(self) -> None:
        """Close."""
        self._stopped = True
        inner, self._inner = self._inner, None
        if inner is not None:
            await close(inner)

    async def _begin(self, inner: AIOKafkaConsumer) -> None:
        await require_topics(inner, self._settings, [self._topic])
        inner.subscribe([self._topic])
        await within(self._settings, _assigned(inner), what=f"reading {self._topic!r}")
        partitions = list(inner.assignment())
        end_offsets = await within(self._settings, inner.end_offsets(partitions), what=f"reading {self._topic!r}")
        begins = await within(self._settings, inner.beginning_offsets(partitions), what=f"reading {self._topic!r}")
        if self._since_ms is not None:
            times = dict.fromkeys(partitions, self._since_ms)
            found = await within(self._settings, inner.offsets_for_times(times), what=f"reading {self._topic!r}")
            begins = {each: at.offset if (at := found.get(each)) else end_offsets[each] for each in partitions}
        for partition, offset in begins.items():
            inner.seek(partition, offset)
        self._end_offsets = {each: end for each, end in end_offsets.items() if begins[each] < end}
        if not self._end_offsets:
            self._caught_up.set()

    async def _look_for_the_end(self, inner: AIOKafkaConsumer) -> None:
        for partition, end in list(self._end_offsets.items()):
            try:
                async with asyncio.timeout(self._settings.connect_timeout):
                    reached = await inner.position(partition) >= end
            except TimeoutError:
                raise unreachable(self._settings) from None
            if reached:
                del self._end_offsets[partition]


async def _assigned(inner: AIOKafkaConsumer) -> None:
    while not inner.assignment():  # noqa: ASYNC110 - aiokafka has no event for it
        await asyncio.sleep(_LOOK)
