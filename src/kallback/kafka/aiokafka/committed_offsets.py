"""What a group has committed, metadata included, asked with aiokafka's admin client: its consumer gives positions only.

A connection for each question: it is asked once per rebalance, and a second one for as long as a worker lives would be
idle all the time.

Metadata ends with a zero byte. confluent-kafka writes one, and needs one: it reads a C string, and without the zero it
reads on into the memory behind it.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from kallback.kafka.aiokafka.client import aiokafka_config
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.records import TopicPartition
from kallback.settings import named_log

from aiokafka import TopicPartition as ClientPartition  # isort: skip - the check comes first
from aiokafka import errors  # isort: skip
from aiokafka.admin import AIOKafkaAdminClient  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from kallback.settings import KafkaSettings

log: Final = named_log("kallback.kafka")

_PATIENCE: Final = 10.0
_PAUSE: Final = 0.2
_END: Final = "\0"


def client_commits(commits: Mapping[TopicPartition, Commit]) -> dict[ClientPartition, tuple[int, str]]:
    """Return what is to be committed as aiokafka's."""
    return {
        ClientPartition(each.topic, each.partition): (commit.position, commit.metadata and commit.metadata + _END)
        for each, commit in commits.items()
    }


async def committed_metadata(
    settings: KafkaSettings, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, Commit]:
    """Return what is committed. Without an answer in time nothing is: work may run twice, none is lost."""
    if not partitions:
        return {}
    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                try:
                    return await _asked(settings, group, partitions)
                except (errors.KafkaError, AttributeError, ValueError) as error:
                    # Metadata that is not UTF-8; or a partition's error, such as a coordinator that moves, for which
                    # aiokafka 0.14 looks in the wrong place.
                    log.debug("Kafka does not say what is committed", detail=repr(error))
                    await asyncio.sleep(_PAUSE)
    except TimeoutError:
        log.warning("commit metadata of earlier owners is not known, work may run twice", group=group)
        return {}


async def _asked(
    settings: KafkaSettings, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, Commit]:
    admin = AIOKafkaAdminClient(**aiokafka_config(settings))
    try:
        await admin.start()
        asked = [ClientPartition(each.topic, each.partition) for each in partitions]
        answers = await admin.list_consumer_group_offsets(group, partitions=asked)
    finally:
        await admin.close()
    return {
        TopicPartition(each.topic, each.partition): Commit(found.offset, (found.metadata or "").rstrip(_END))
        for each, found in answers.items()
        if found.offset >= 0
    }
