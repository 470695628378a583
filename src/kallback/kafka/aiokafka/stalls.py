"""Find partitions that a client of aiokafka has stopped reading although they have records.

aiokafka itself never notices: a fetch loop that ended, or a partition that stayed paused, looks like a topic without
new records. So the end offsets and the client's positions are compared from time to time.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from kallback.kafka.aiokafka.membership.group_member import led, ours
from kallback.kafka.group_status import STALLED_AFTER_S
from kallback.kafka.offsets.read_stalls import ReadStallDetector

from aiokafka import errors  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiokafka import AIOKafkaConsumer
    from aiokafka import TopicPartition as ClientPartition

    from kallback.kafka.records import TopicPartition


class AiokafkaStalls:
    """The partitions of one consumer that are not read.

    Attributes:
        found: those of the last look that Kafka answered.
    """

    def __init__(self) -> None:
        self.found: frozenset[TopicPartition] = frozenset()
        self._detector = ReadStallDetector(STALLED_AFTER_S)

    async def look(self, inner: AIOKafkaConsumer, wanted: Collection[TopicPartition], timeout: float) -> bool:  # noqa: ASYNC109 - two questions within one bound
        """Compare positions with end offsets; return whether this look found a stalled partition.

        Args:
            inner: the client of the consumer.
            wanted: the partitions whose records somebody waits for; the others may stand still.
            timeout: how long Kafka may take to answer, in seconds. No answer is no sign of a stall.
        """
        positions, end_offsets = await positions_and_watermarks(inner, led(inner, wanted), timeout)
        if not end_offsets:
            return False
        self.found = self._detector.stalled(positions, end_offsets, asyncio.get_running_loop().time())
        return bool(self.found)


async def positions_and_watermarks(
    inner: AIOKafkaConsumer,
    partitions: Collection[ClientPartition],
    timeout: float,  # noqa: ASYNC109 - two questions within one bound
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Return where a client reads partitions on, and where these end.

    Both as far as known within the time: no end of a partition without leader, and nothing while Kafka is unavailable
    or a rebalance comes in between. A partition that waits for its leader to get a position keeps the others waiting.
    """
    positions: dict[TopicPartition, int] = {}
    end_offsets: dict[TopicPartition, int] = {}
    with contextlib.suppress(errors.KafkaError, TimeoutError):
        async with asyncio.timeout(timeout):
            for each in partitions:
                positions[ours(each)] = await inner.position(each)
            if asked := led(inner, positions):
                end_offsets = {ours(each): end for each, end in (await inner.end_offsets(asked)).items()}
    return positions, end_offsets
