"""What a group has committed, metadata included, asked with librdkafka's admin client.

A client of its own, because the question is asked inside a rebalance callback: nothing may be called there on the
consumer that runs it. Its answers come on its own thread, so waiting for them is safe. It lives for one question, as
they are as rare as rebalances.
"""

# confluent_kafka.admin re-exports without saying so, and its futures say not of what:
# pyright: reportPrivateImportUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import concurrent.futures
import time
from typing import TYPE_CHECKING, Final, cast

from kallback.kafka.confluent.client import ClientErrors, admin_client, log
from kallback.kafka.confluent.group_member import client_partition, ours
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.records import TopicPartition

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip
from confluent_kafka.admin import AdminClient  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Collection

    from kallback.settings import KafkaSettings

_PATIENCE: Final = 10.0
_PAUSE: Final = 0.2


def committed_metadata(
    settings: KafkaSettings, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, Commit]:
    """Return what is committed; blocks. Without an answer in time nothing is: work may run twice, none is lost."""
    if not partitions:
        return {}
    deadline = time.monotonic() + _PATIENCE
    errors = ClientErrors(settings.client_id)
    admin = admin_client(settings, errors)
    asked = ConsumerGroupTopicPartitions(group, [client_partition(each) for each in partitions])
    while True:
        try:
            return _answer(admin, asked, deadline - time.monotonic())
        except (KafkaException, concurrent.futures.TimeoutError) as error:
            if time.monotonic() + _PAUSE >= deadline:
                log.warning("commit metadata of earlier owners is not known, work may run twice", reason=str(error))
                return {}
            time.sleep(_PAUSE)  # such as a coordinator that is moving


def _answer(admin: AdminClient, asked: ConsumerGroupTopicPartitions, patience: float) -> dict[TopicPartition, Commit]:
    (future,) = admin.list_consumer_group_offsets([asked], request_timeout=patience).values()
    answers = cast("list[ClientPartition]", future.result(patience).topic_partitions)
    for each in answers:
        if each.error is not None:
            raise KafkaException(each.error)
    return {ours(each): Commit(each.offset, _metadata(each)) for each in answers if each.offset >= 0}


def _metadata(answer: ClientPartition) -> str:
    """Return the metadata; what is not ours may lack the zero at its end, without which the client reads too far."""
    try:
        return answer.metadata or ""
    except UnicodeDecodeError:
        return ""
