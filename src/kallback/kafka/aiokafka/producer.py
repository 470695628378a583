"""A producer on aiokafka, bound to the event loop that starts it.

Order: aiokafka appends records to its batches in the order in which `send` is called. Cancellation: only the waiting
ends; the record may still be written. When the idempotent sequence is broken, aiokafka refuses every further
record: the producer inside is then replaced, and the failed send says "try again".
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import contextlib
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from kallback.kafka.aiokafka.bootstrap import reachable_config, until_reachable
from kallback.kafka.aiokafka.client import close, connected, missing_codec, translated
from kallback.kafka.errors import missing_topic, unreachable
from kallback.kafka.lone_sends import LoneSends
from kallback.kafka.producer import ProducerOptions
from kallback.kafka.records import OutgoingRecord, Position
from kallback.lifecycle import StartStop
from kallback.protocol.errors import KafkaUnavailableError, RecordTooLargeError

from aiokafka import AIOKafkaProducer, errors  # isort: skip - the check comes first
from aiokafka.partitioner import DefaultPartitioner  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kallback.settings import KafkaSettings

_UNKNOWN_TOPIC_PATIENCE: Final = 5.0
"""Seconds for a fresh topic to show up in a broker's metadata."""

_BATCH_BYTES: Final = 16 * 1024
_LINGERING_BATCH_BYTES: Final = 64 * 1024
"""Before compression; aiokafka sends one batch of a partition at a time."""

_LONG_KEY: Final = 1024
"""Bytes. aiokafka hashes keys in Python, and who writes a record chooses its key: 0.9 MB took 140 ms of the loop."""

_NO_VALUE: Final = object()
"""Stands for a value of None: aiokafka refuses a record with neither key nor value before it serializes them."""

_BROKEN: Final = (
    errors.DuplicateSequenceNumber,
    errors.InvalidProducerEpoch,
    errors.InvalidProducerIdMapping,
    errors.OutOfOrderSequenceNumber,
    errors.ProducerClosed,
    errors.ProducerFenced,
)


class AiokafkaProducer(StartStop):
    """A `Producer` for one event loop."""

    def __init__(self, settings: KafkaSettings, options: ProducerOptions | None = None) -> None:
        self._settings = settings
        self._options = options or ProducerOptions()
        self._inner: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._stopped = False
        self._appending = 0
        self._appended = asyncio.Event()  # set where none is appending, after the stop
        self._batch_bytes = _LINGERING_BATCH_BYTES if self._options.linger else _BATCH_BYTES
        self._lone = LoneSends(lambda: AiokafkaProducer(settings, replace(self._options, batches=False)))

    async def start(self) -> None:
        """Connect."""
        await until_reachable(self._settings, self._current, lambda: self._stopped)

    async def stop(self) -> None:
        """Flush and close."""
        self._stopped = True
        async with self._starting:
            inner, self._inner = self._inner, None
        try:
            if inner is not None:
                await self._last_appends()
                await close(inner)
        finally:
            await self._lone.stop()

    async def _last_appends(self) -> None:
        """Wait until the sends under way have put their records into batches: closing writes what is there."""
        if self._appending:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._appended.wait(), _UNKNOWN_TOPIC_PATIENCE)

    async def send(self, record: OutgoingRecord) -> Position:
        """Send one record and wait for its acknowledgement."""
        inner = await self._current()
        try:
            metadata = await (await self._append(inner, record))
        except errors.KafkaError as error:
            if isinstance(error, _BROKEN):
                await self._discard(inner)
            failure = translated(error, what=f"sending to {record.topic!r}", topic=record.topic)
            if not isinstance(failure, RecordTooLargeError) or not self._may_share(record):
                raise failure from None
        else:
            return Position(metadata.topic, metadata.partition, metadata.offset)
        return await self._lone.send(record)

    async def _append(self, inner: AIOKafkaProducer, record: OutgoingRecord) -> asyncio.Future[Any]:
        """Put a record into a batch; the future is its acknowledgement."""
        self._appending += 1
        try:
            await self._require_topic(inner, record.topic)
            value = _NO_VALUE if record.value is None else record.value
            partition = _partition_of(inner, record)
            acknowledged: asyncio.Future[Any] = await inner.send(
                record.topic, value, record.key, partition, headers=list(record.headers)
            )
            return acknowledged
        finally:
            self._appending -= 1
            if self._stopped and not self._appending:
                self._appended.set()

    def _may_share(self, record: OutgoingRecord) -> bool:
        """Whether a record can be in a batch with others."""
        return self._options.batches and record.size < self._batch_bytes

    async def _current(self) -> AIOKafkaProducer:
        """Return the producer, made and connected where there is none."""
        if self._inner is not None:
            return self._inner
        async with self._starting:
            if self._stopped:
                raise KafkaUnavailableError("this producer is stopped; make a new one")
            if self._inner is None:
                inner = self._make(await reachable_config(self._settings))
                self._inner = await connected(inner, self._settings)
            return self._inner

    def _make(self, connection: dict[str, Any]) -> AIOKafkaProducer:
        options = self._options
        try:
            return AIOKafkaProducer(
                **connection,
                acks="all",
                enable_idempotence=True,
                compression_type=options.compression,
                value_serializer=_serialized,
                partitioner=partition_of_key,  # pyright: ignore[reportArgumentType] - aiokafka only calls it
                linger_ms=round(options.linger * 1000),
                max_batch_size=self._batch_bytes if options.batches else 1,  # the first record of a batch always fits
                max_request_size=self._settings.max_request_bytes,
                request_timeout_ms=int(self._settings.delivery_timeout * 1000),
            )
        except RuntimeError as error:  # aiokafka's word for a codec whose library is not installed
            raise missing_codec("making a producer", error) from None

    async def _require_topic(self, inner: AIOKafkaProducer, topic: str) -> None:
        if inner.client.cluster.partitions_for_topic(topic) is not None:
            return
        try:
            async with asyncio.timeout(_UNKNOWN_TOPIC_PATIENCE):
                await inner.partitions_for(topic)
        except TimeoutError:
            cluster = await inner.client.fetch_all_metadata()  # raises when Kafka is unavailable
            if cluster.partitions_for_topic(topic) is None:
                raise missing_topic(topic) from None
            raise unreachable(self._settings) from None

    async def _discard(self, broken: AIOKafkaProducer) -> None:
        async with self._starting:
            if self._inner is not broken:
                return
            self._inner = None
        await close(broken)


def partition_of_key(key: bytes | None, partitions: Sequence[int], available: Sequence[int]) -> int:
    """Return the partition of a key: as every client of Kafka does, but for a long key with a hash that is fast."""
    if key is not None and len(key) > _LONG_KEY:
        return partitions[zlib.crc32(key) % len(partitions)]
    partition: int = DefaultPartitioner()(key, partitions, available)
    return partition


def _serialized(value: Any) -> Any:
    return None if value is _NO_VALUE else value


def _partition_of(inner: AIOKafkaProducer, record: OutgoingRecord) -> int | None:
    """The partition of a record with a placement; None where the key decides."""
    known = inner.client.cluster.partitions_for_topic(record.topic)
    return None if record.placement is None or not known else record.placement.partition_of(len(known))
