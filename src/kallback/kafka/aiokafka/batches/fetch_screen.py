"""Screens what an aiokafka consumer fetches, between its network client and its decoder.

aiokafka has no public place for this. The wrapped method, `AIOKafkaClient.send`, is the one place that all versions
have in common, and a test holds this against aiokafka.

Memory: all partitions of a consumer share `total` bytes. aiokafka keeps at most one fetch of each partition, and
fetches a partition again when it has handed out everything of the last one: so what was passed on last is the most that
is kept.

Order: as aiokafka's; one fetch of a partition at a time. Decompression runs in a thread. Cancellation:
nothing of a response is passed on.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportPrivateUsage=false, reportUnknownParameterType=false

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final

from kallback.kafka.aiokafka.batches.batch_format import is_compressed
from kallback.kafka.aiokafka.batches.batch_screen import Screened, ScreenLimits, WaitingBatch, screened
from kallback.kafka.aiokafka.batches.bounded_codecs import UnfoldingSpace
from kallback.kafka.records import TopicPartition
from kallback.lifecycle import LogThrottle
from kallback.settings import named_log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import AIOKafkaConsumer

    from kallback.kafka.records import Unreadable

FETCH_API_KEY: Final = 1
_ON_THE_LOOP: Final = 64 * 1024  # bytes of a response that are screened without a thread: less than a millisecond
_NO_ROOM_PAUSE_S: Final = 0.1
_ONE_AT_A_TIME: Final = threading.Lock()
"""Of all clients of a process: unfolding a batch takes twice its bytes, up to 32 MiB."""
_SPACE: Final = UnfoldingSpace()
"""Whoever unfolds holds the lock; it is released after each response."""

log: Final = named_log("kallback.kafka")


class FetchScreen:
    """Passes on what aiokafka can decode, within a bound.

    Args:
        inner: not started yet.
        limits: of a batch.
        total: bytes that all partitions may hold together.
    """

    def __init__(self, inner: AIOKafkaConsumer, limits: ScreenLimits, *, total: int) -> None:
        self._inner = inner
        self._limits = limits
        self._total = total
        self._passed: dict[TopicPartition, int] = {}
        self._waiting: dict[TopicPartition, WaitingBatch | None] = {}
        self._throttle = LogThrottle(log)
        client: Any = inner._client  # noqa: SLF001 - see the module's docstring
        self._send = client.send
        client.send = self._screened_send

    async def _screened_send(self, node_id: Any, request: Any, **options: Any) -> Any:
        response = await self._send(node_id, request, **options)
        if getattr(response, "API_KEY", None) != FETCH_API_KEY:
            return response
        self._forget_what_is_gone()
        positions = {
            TopicPartition(topic, number): offset for topic, parts in request.topics for number, offset, *_ in parts
        }
        passed, deferred = 0, False
        topics: list[tuple[str, list[Any]]] = []
        for topic, parts in response.topics:
            kept: list[Any] = []
            for number, *fields, data in parts:
                partition = TopicPartition(topic, number)
                found = await self._screen(partition, data or b"", positions)
                passed += len(found.data)
                deferred = deferred or found.deferred
                kept.append((number, *fields, found.data))
            topics.append((topic, kept))
        _SPACE.release()
        if deferred and not passed:
            await asyncio.sleep(_NO_ROOM_PAUSE_S)  # otherwise aiokafka would fetch the same at once
        response.topics = topics
        return response

    async def _screen(
        self, partition: TopicPartition, data: bytes, positions: Mapping[TopicPartition, int]
    ) -> Screened:
        position = positions.get(partition, 0)
        room = self._total - sum(size for each, size in self._passed.items() if each != partition)
        if len(data) <= _ON_THE_LOOP and not is_compressed(data):
            found = self._screened(partition, data, position, room)
        else:
            found = await asyncio.to_thread(self._screen_alone, partition, data, position, room)
        self._passed[partition], self._waiting[partition] = len(found.data), found.waiting
        for why in found.damaged:
            self._log(partition, why)
        return found

    def _screen_alone(self, partition: TopicPartition, data: bytes, position: int, room: int) -> Screened:
        with _ONE_AT_A_TIME:
            return self._screened(partition, data, position, room)

    def _screened(self, partition: TopicPartition, data: bytes, position: int, room: int) -> Screened:
        return screened(data, position, self._limits, room=room, waiting=self._waiting.get(partition), space=_SPACE)

    def _forget_what_is_gone(self) -> None:
        owned = {TopicPartition(each.topic, each.partition) for each in self._inner.assignment()}
        self._passed = {each: size for each, size in self._passed.items() if each in owned}
        self._waiting = {each: batch for each, batch in self._waiting.items() if each in owned}

    def _log(self, partition: TopicPartition, why: Unreadable) -> None:
        self._throttle.warning(
            "a record batch cannot be read, it is stepped over",
            kind=str(partition),
            partition=str(partition),
            reason=why.detail,
            offsets=why.count,
        )
