"""How partitions start: what a group has committed, metadata included, and where logs begin and end.

aiokafka's admin client is asked for the commits, because its consumer gives positions only. The rest is asked of a
consumer that reads nothing: a broker answers the requests of a connection one after the other, so a question to the
member itself would wait for the end of a fetch, half a second where nothing comes. And it is one that sees uncommitted
records: to the member, an open transaction ends the log. Both clients live for the questions of one rebalance only.

Metadata ends with a zero byte. confluent-kafka writes one, and needs one: it reads a C string, and without the zero it
reads on into the memory behind it.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportPrivateUsage=false

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from kallback.kafka.aiokafka.bootstrap import reachable_config
from kallback.kafka.aiokafka.client import close
from kallback.kafka.aiokafka.membership.group_errors import raise_group_errors
from kallback.kafka.aiokafka.topic_states import leaderless, learn_topics
from kallback.kafka.offsets.history import (
    RECENT_S,
    UNKNOWN_START,
    FirstRead,
    PartitionStart,
    start_without_leader,
)
from kallback.kafka.offsets.partition_metadata import Commit, found_commit
from kallback.kafka.records import TopicPartition
from kallback.settings import named_log

from aiokafka import AIOKafkaConsumer, errors  # isort: skip - the check comes first
from aiokafka import TopicPartition as ClientPartition  # isort: skip
from aiokafka.admin import AIOKafkaAdminClient  # isort: skip

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping

    from kallback.kafka.consumer import ConsumerOptions
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


async def partition_starts(
    settings: KafkaSettings, group: str, partitions: Collection[TopicPartition], options: ConsumerOptions
) -> dict[TopicPartition, PartitionStart]:
    """Return how partitions start, if the options need it.

    Without an answer, work may run twice and none is lost; but the history must be known.

    Raises:
        TimeoutError: Kafka does not answer in time, and the history is to be marked.
    """
    if not partitions or not options.asks_for_starts:
        return {}
    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                try:
                    return await _asked(settings, group, partitions, history_counts=options.mark_history)
                except (errors.KafkaError, AttributeError, ValueError) as error:
                    # Metadata that is not UTF-8; or a partition's error, such as a coordinator that moves, for which
                    # aiokafka 0.14 looks in the wrong place.
                    log.debug("Kafka does not say how partitions start", detail=repr(error))
                    await asyncio.sleep(_PAUSE)
    except TimeoutError:
        if options.mark_history:
            raise
        log.warning("commit metadata of earlier owners is not known, work may run twice", group=group)
        return dict.fromkeys(partitions, UNKNOWN_START)


async def _asked(
    settings: KafkaSettings, group: str, partitions: Collection[TopicPartition], *, history_counts: bool
) -> dict[TopicPartition, PartitionStart]:
    commits = await commits_of(settings, group, partitions)  # before the ends: they do not go back
    starts: dict[TopicPartition, PartitionStart] = {}
    topics = {each.topic for each in partitions}
    async with _reading_nothing(settings) as client:
        await learn_topics(client, topics)
        for topic in topics:
            for each in set(await leaderless(client, topic)).intersection(partitions):
                start = start_without_leader(commits.get(each), history_counts=history_counts)
                if start is None:
                    raise errors.LeaderNotAvailableError
                starts[each] = start
        asked = {each: ClientPartition(each.topic, each.partition) for each in partitions if each not in starts}
        if not asked:
            return starts
        begins = await client.beginning_offsets(list(asked.values()))
        log_end_offsets = await client.end_offsets(list(asked.values()))
        starts |= {
            each: PartitionStart(commits.get(each), begins[at], log_end_offsets[at]) for each, at in asked.items()
        }
        first_reads = [each for each, start in starts.items() if start.first_read is FirstRead.NO_COMMIT]
        for each, offset in (await _recent_begins(client, first_reads)).items():
            starts[each] = starts[each]._replace(recent_begin=offset)
        return starts


async def _recent_begins(
    client: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, int | None]:
    if not partitions:
        return {}
    since_ms = int((time.time() - RECENT_S) * 1000)
    asked = {ClientPartition(each.topic, each.partition): since_ms for each in partitions}
    answers = await client.offsets_for_times(asked)
    return {TopicPartition(each.topic, each.partition): found and found.offset for each, found in answers.items()}


@asynccontextmanager
async def _reading_nothing(settings: KafkaSettings) -> AsyncGenerator[AIOKafkaConsumer]:
    client = AIOKafkaConsumer(
        **await reachable_config(settings), enable_auto_commit=False, isolation_level="read_uncommitted"
    )
    try:
        await client.start()
        yield client
    finally:
        await close(client)


async def commits_of(
    settings: KafkaSettings, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, Commit]:
    """Return what a group has committed, of the partitions of which it has."""
    admin = AIOKafkaAdminClient(**await reachable_config(settings))
    raise_group_errors(admin._client)  # noqa: SLF001 - see there
    try:
        await admin.start()
        asked = [ClientPartition(each.topic, each.partition) for each in partitions]
        answers = await admin.list_consumer_group_offsets(group, partitions=asked)
    finally:
        await admin.close()
    return {
        TopicPartition(each.topic, each.partition): found_commit(found.offset, (found.metadata or "").rstrip(_END))
        for each, found in answers.items()
        if found.offset >= 0
    }
