"""Hands batches to a broker as they are: with aiokafka's connections, without its producer."""

# The names of this client are annotated in part only.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Final, Self

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from confluent_kafka import KafkaError

_TIMEOUT_MS: Final = 60_000
_ALL_REPLICAS: Final = -1
_NO_ERROR: Final = 0
_CLOSE_S: Final = 10.0
_LEADER_S: Final = 30.0
_AGAIN_S: Final = 0.1
_MOVING: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
    }
)
"""Errors of a new topic whose partitions get their leaders just now."""


class RefusedBatchError(Exception):
    """The broker refuses a batch."""


class RawWriter:
    """Writes batches of `raw_batches`."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._client = AIOKafkaClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=_TIMEOUT_MS)

    async def __aenter__(self) -> Self:
        """Connect."""
        await self._client.bootstrap()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections; what does not close is left to the end of the process."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._client.close()

    async def write(self, topic: str, partition: int, batch: bytes) -> None:
        """Write one batch, and wait for its acknowledgement.

        Raises:
            RefusedBatchError: the broker does not take it.
        """
        ends = time.monotonic() + _LEADER_S
        while True:
            error = await self._try(topic, partition, batch)
            if error == _NO_ERROR:
                return
            if error not in _MOVING or time.monotonic() > ends:
                raise RefusedBatchError(f"{topic}[{partition}]: {KafkaError(error)}")
            await asyncio.sleep(_AGAIN_S)
            await self._client.force_metadata_update()

    async def _try(self, topic: str, partition: int, batch: bytes) -> int:
        """Write it once; return Kafka's error."""
        await self._client._wait_on_metadata(topic)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - as its producer does
        node = self._client.cluster.leader_for_partition(TopicPartition(topic, partition))
        if node is None or node < 0:
            return KafkaError.LEADER_NOT_AVAILABLE
        request = ProduceRequest(None, _ALL_REPLICAS, _TIMEOUT_MS, [(topic, [(partition, batch)])])
        answer: Any = await self._client.send(node, request)
        error: int = answer.topics[0][1][0][1]
        return error
