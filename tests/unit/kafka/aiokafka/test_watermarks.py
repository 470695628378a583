"""Where partitions end, while a rebalance takes them away."""

from __future__ import annotations

from typing import Any, cast

from kallback.kafka import TopicPartition
from kallback.kafka.aiokafka.membership.group_member import AiokafkaWatermarks, client_partition

from aiokafka import AIOKafkaConsumer  # isort: skip - the check comes first
from aiokafka import TopicPartition as ClientPartition  # isort: skip

GOES, STAYS = TopicPartition("orders", 0), TopicPartition("orders", 1)


class _Cluster:
    def leader_for_partition(self, _partition: ClientPartition) -> int:
        return 1


class _Client:
    cluster = _Cluster()


class _Rebalanced:
    """A member that loses a partition while it waits for the ends."""

    _client = _Client()

    def __init__(self) -> None:
        self._assigned = {client_partition(each) for each in (GOES, STAYS)}

    def assignment(self) -> set[ClientPartition]:
        return self._assigned

    async def position(self, _partition: ClientPartition) -> int:
        return 7

    async def end_offsets(self, partitions: list[ClientPartition]) -> dict[ClientPartition, int]:
        self._assigned = {client_partition(STAYS)}
        return dict.fromkeys(partitions, 7)

    def highwater(self, partition: ClientPartition) -> int:
        assert partition in self._assigned, "Partition is not assigned"  # as aiokafka does
        return 9


async def test_a_partition_that_goes_while_its_end_is_asked_for_does_no_harm() -> None:
    """What is known of the others counts: the look must not end the consumer."""
    watermarks = AiokafkaWatermarks()
    await watermarks.look(cast("AIOKafkaConsumer", cast("Any", _Rebalanced())), [GOES, STAYS])
    assert (watermarks.end_offsets[STAYS], watermarks.positions[STAYS]) == (7, 7)
