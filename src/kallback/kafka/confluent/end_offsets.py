"""Asks Kafka where topics end, with librdkafka's admin client, whose calls block.

Ownership: one thread makes all calls of the client, one after the other, and closes it behind the last one. `stop`
waits a little for that; while Kafka does not answer, the thread is left to it. Who waits for the thread meanwhile is
told of its failure, and does not wait for another one.
"""

# confluent_kafka.admin re-exports without saying so, and its futures say not of what:
# pyright: reportPrivateImportUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, cast

from kallback.kafka.confluent.admin import connected
from kallback.kafka.confluent.client import failure_of, log
from kallback.kafka.confluent.login import LoginRenewal
from kallback.kafka.confluent.membership.group_member import client_partition
from kallback.kafka.records import TopicPartition
from kallback.lifecycle import CallThread, InTurn
from kallback.protocol.errors import KafkaUnavailableError

from confluent_kafka import IsolationLevel, KafkaException  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from kallback.settings import KafkaSettings

_PATIENCE: Final = 5.0
_STOP_TIMEOUT_S: Final = 2.0


class ConfluentEndOffsets:
    """`EndOffsets` on librdkafka; connects at the first question."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._connection: _Connection | None = None
        self._questions = InTurn()

    async def of(self, topics: Sequence[str], *, uncommitted: bool = False) -> dict[TopicPartition, int]:
        """Where these topics end."""
        connection = self._connection = self._connection or _Connection(self._settings)
        isolation = IsolationLevel.READ_UNCOMMITTED if uncommitted else IsolationLevel.READ_COMMITTED
        return await self._questions.ask(
            lambda: connection.thread.submit(lambda: connection.of(list(topics), isolation))
        )

    async def stop(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.abandoned.set()
        try:
            await connection.thread.finish(connection.close, _STOP_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is no longer used
            log.warning("a client for the ends of topics was not closed", reason=repr(error))


class _Connection:
    """An admin client, and the thread that makes all its calls."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.thread = CallThread("kallback-end-offsets")
        self.abandoned = threading.Event()
        self._settings = settings
        self._admin: AdminClient | None = None
        self._renewal = LoginRenewal(settings)
        self._opened = ExitStack()

    def close(self) -> None:
        """Close the client."""
        self._opened.close()

    def of(self, topics: list[str], isolation: IsolationLevel) -> dict[TopicPartition, int]:
        """Where these topics end."""
        try:
            if self._admin is None:
                self._renewal = LoginRenewal(self._settings)
                self._opened, self._admin = self._connected()
            elif (fresh := self._renewal.renewed(self._admin, self._connected, "end offsets")) is not None:
                self._opened.close()
                self._opened, self._admin = fresh
            return self._ask(self._admin, topics, isolation)
        except KafkaException as error:
            what = f"asking where {', '.join(topics)} end"
            raise failure_of(error.args[0], self._settings, what=what) from None
        except TimeoutError:
            raise KafkaUnavailableError(f"Kafka does not say where {', '.join(topics)} end; try again") from None

    def _connected(self) -> tuple[ExitStack, AdminClient]:
        opened = ExitStack()
        return opened, opened.enter_context(connected(self._settings, abandoned=self.abandoned))

    def _ask(self, admin: AdminClient, topics: list[str], isolation: IsolationLevel) -> dict[TopicPartition, int]:
        partitions = [each for topic in topics for each in self._partitions(admin, topic)]
        if not partitions:
            return {}
        latest = cast("OffsetSpec", OffsetSpec.latest())  # type: ignore[no-untyped-call]  # the library has no types for it
        futures = cast(
            "dict[ClientPartition, Future[ListOffsetsResultInfo]]",
            admin.list_offsets(
                dict.fromkeys(map(client_partition, partitions), latest),
                isolation_level=isolation,
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
            raise failure_of(found.error, self._settings, what=f"looking up {topic!r}", topic=topic)
        return [TopicPartition(topic, number) for number in found.partitions]
