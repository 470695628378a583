"""Asks Kafka where topics end, with librdkafka's admin client, whose calls block: they run in a thread."""

# confluent_kafka.admin re-exports without saying so, and its futures say not of what:
# pyright: reportPrivateImportUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from kallback.kafka.confluent.membership.group_member import client_partition
from kallback.kafka.confluent.topics import connected
from kallback.kafka.errors import error_for
from kallback.kafka.records import TopicPartition
from kallback.protocol.errors import KafkaUnavailableError

from confluent_kafka import IsolationLevel, KafkaException  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from kallback.settings import KafkaSettings

_PATIENCE: Final = 5.0


class ConfluentEndOffsets:
    """`EndOffsets` on librdkafka; connects at the first question."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin: AdminClient | None = None

    async def of(self, topics: Sequence[str]) -> dict[TopicPartition, int]:
        """Where these topics end."""
        return await asyncio.to_thread(self._of, list(topics))

    async def stop(self) -> None:
        """Close the connection."""
        self._admin = None

    def _of(self, topics: list[str]) -> dict[TopicPartition, int]:
        try:
            return self._ask(topics)
        except KafkaException as error:
            told = error.args[0]
            raise error_for(told.code(), told.str(), what=f"asking where {', '.join(topics)} end") from None
        except TimeoutError:
            raise KafkaUnavailableError(f"Kafka does not say where {', '.join(topics)} end; try again") from None

    def _ask(self, topics: list[str]) -> dict[TopicPartition, int]:
        if self._admin is None:
            self._admin = connected(self._settings)
        partitions = [each for topic in topics for each in self._partitions(self._admin, topic)]
        if not partitions:
            return {}
        latest = cast("OffsetSpec", OffsetSpec.latest())  # type: ignore[no-untyped-call]  # the library has no types for it
        futures = cast(
            "dict[ClientPartition, Future[ListOffsetsResultInfo]]",
            self._admin.list_offsets(
                dict.fromkeys(map(client_partition, partitions), latest),
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=_PATIENCE,
            ),
        )
        end_offsets = {
            TopicPartition(each.topic, each.partition): future.result(_PATIENCE) for each, future in futures.items()
        }
        if len(end_offsets) < len(partitions):
            raise KafkaUnavailableError(f"Kafka does not say where all partitions of {', '.join(topics)} end")
        return {each: end.offset for each, end in end_offsets.items()}

    def _partitions(self, admin: AdminClient, topic: str) -> list[TopicPartition]:
        found = admin.list_topics(topic, _PATIENCE).topics[topic]
        if found.error is not None:
            raise error_for(found.error.code(), found.error.str(), what=f"looking up {topic!r}", topic=topic)
        return [TopicPartition(topic, number) for number in found.partitions]
