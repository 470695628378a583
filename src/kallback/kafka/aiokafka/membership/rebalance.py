"""aiokafka's rebalance callbacks, passed on to the consumer.

aiokafka logs what a listener raises and goes on with the rebalance as if nothing had happened. So an error here is
reported to the consumer, whose caller hears of it at the next `fetch`.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kallback.kafka.aiokafka.membership.group_member import ours

from aiokafka import ConsumerRebalanceListener  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aiokafka import TopicPartition as ClientPartition

    from kallback.kafka.records import TopicPartition


class RebalancedConsumer(Protocol):
    """What a rebalance changes."""

    async def revoke(self, going: Iterable[TopicPartition]) -> None:
        """Drain and give away partitions; the group's rebalance waits for it."""
        ...

    async def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Begin to read partitions."""
        ...


class RebalanceListener(ConsumerRebalanceListener):
    """Passes aiokafka's rebalances on.

    Args:
        on_failure: told what `consumer` raises.
    """

    def __init__(self, consumer: RebalancedConsumer, on_failure: Callable[[str, Exception], object]) -> None:
        self._consumer = consumer
        self._on_failure = on_failure

    async def on_partitions_revoked(self, revoked: Iterable[ClientPartition]) -> None:
        """Drain and give away partitions."""
        try:
            await self._consumer.revoke(map(ours, revoked))
        except Exception as error:  # noqa: BLE001 - aiokafka would only log it
            self._on_failure("revoke", error)

    async def on_partitions_assigned(self, assigned: Iterable[ClientPartition]) -> None:
        """Begin to read partitions."""
        try:
            await self._consumer.assign(map(ours, assigned))
        except Exception as error:  # noqa: BLE001 - as above
            self._on_failure("assign", error)
