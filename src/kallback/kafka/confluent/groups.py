"""Asks Kafka which consumer groups read topics, with clients of librdkafka, whose calls block: in threads.

The admin client is not asked what a group has committed: that question ends the process (a null pointer in librdkafka
2.16, its issue 5040) when a broker answers that it is not the group's coordinator. A consumer with the group's name is
asked, which never joins the group. A consumer has one group only, so that each group takes a new one, and few are open
at a time: 1,000 groups took 6 s with eight.
"""

# confluent_kafka.admin re-exports without saying so, and its futures say not of what:
# pyright: reportPrivateImportUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from kallback.kafka.confluent.admin import connected
from kallback.kafka.confluent.client import ClientErrors, build, confluent_config, failure_of
from kallback.kafka.confluent.end_offsets import ConfluentEndOffsets
from kallback.kafka.confluent.membership.committed_offsets import committed_offsets
from kallback.kafka.errors import unreachable
from kallback.kafka.groups import GroupMember, TopicGroup
from kallback.kafka.records import TopicPartition

from confluent_kafka import Consumer, KafkaError, KafkaException  # isort: skip - the check comes first
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription, MemberDescription  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from kallback.settings import KafkaSettings

_MOST_GROUPS: Final = 1000
_MOST_AT_ONCE: Final = 100
_NO_GROUP: Final = "kallback-no-such-group"
"""Who may look at a group that does not exist, may look at all: permissions are for names or their beginnings."""
_REFUSAL_S: Final = 3.0
"""In which a broker refuses a question: it looks at permissions first."""
_NEVER_S: Final = 3600.0
"""The timeout of questions to groups' coordinators. librdkafka 2.16 ends the process when one passes before its
question was sent (as in issue 1640 of confluent-kafka-python; seen with 200 questions at once). The wait for the
answers ends in time, and closing the client ends the questions."""
_CONSUMERS: Final = 8
"""Open at a time; each has about five threads and two connections."""
_PAUSE_S: Final = 0.2
_MOVING: Final = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError._WAIT_COORD,  # noqa: SLF001 - librdkafka's own code
    }
)
"""A group's coordinator is another broker in a moment, or answers in a moment."""


async def groups_of(
    settings: KafkaSettings, topics: Sequence[str], end_offsets: Mapping[TopicPartition, int] | None = None
) -> list[TopicGroup]:
    """See `kallback.kafka.groups_of`."""
    return await asyncio.to_thread(_groups, settings, topics, end_offsets or await _end_offsets(settings, topics))


async def sees_groups(settings: KafkaSettings) -> bool:
    """See `kallback.kafka.sees_groups`."""
    return await asyncio.to_thread(_sees_groups, settings)


def _sees_groups(settings: KafkaSettings) -> bool:
    with connected(settings) as admin:
        answer = admin.describe_consumer_groups([_NO_GROUP], request_timeout=_NEVER_S)[_NO_GROUP]
        try:
            _answer(answer, time.monotonic() + _REFUSAL_S)
        except KafkaException as error:  # most brokers say that there is no such group
            return bool(error.args[0].code() != KafkaError.GROUP_AUTHORIZATION_FAILED)
        except TimeoutError:  # a cluster without any group makes the topic for their offsets first
            return True
    return True


async def _end_offsets(settings: KafkaSettings, topics: Sequence[str]) -> dict[TopicPartition, int]:
    asked = ConfluentEndOffsets(settings)
    try:
        return await asked.of(topics)
    finally:
        await asked.stop()


def _groups(
    settings: KafkaSettings, topics: Sequence[str], end_offsets: Mapping[TopicPartition, int]
) -> list[TopicGroup]:
    question = f"asking which groups read {', '.join(map(repr, topics))}"
    try:
        with connected(settings, topics) as admin:
            listed = admin.list_consumer_groups(request_timeout=settings.connect_timeout).result().valid
            names = sorted(name for group in listed if (name := group.group_id))[:_MOST_GROUPS]
            chunks = [names[first : first + _MOST_AT_ONCE] for first in range(0, len(names), _MOST_AT_ONCE)]
            return [group for chunk in chunks for group in _described(admin, settings, chunk, end_offsets)]
    except KafkaException as error:
        raise failure_of(error.args[0], settings, what=question) from None
    except TimeoutError:
        raise unreachable(settings, question) from None


def _described(
    admin: AdminClient, settings: KafkaSettings, names: Sequence[str], end_offsets: Mapping[TopicPartition, int]
) -> list[TopicGroup]:
    """Those of these groups that read any of the topics."""
    deadline = time.monotonic() + settings.connect_timeout
    described = admin.describe_consumer_groups(list(names), request_timeout=_NEVER_S)
    descriptions = [cast("ConsumerGroupDescription", _answer(described[name], deadline)) for name in names]
    with ThreadPoolExecutor(_CONSUMERS, "kallback-groups") as threads:
        committed = threads.map(partial(_committed, settings, list(end_offsets)), names)
        found = [_group(*each, end_offsets) for each in zip(descriptions, committed, strict=True)]
    return [group for group in found if group.members or group.committed]


def _committed(settings: KafkaSettings, partitions: Sequence[TopicPartition], group: str) -> dict[TopicPartition, int]:
    """What a group has committed, without partitions of which it has nothing; waits for a coordinator that moves."""
    own: dict[str, Any] = {
        "group.id": group,
        "enable.auto.commit": False,
        "error_cb": ClientErrors(settings, quiet=True),
        "isolation.level": "read_uncommitted",  # otherwise commits of open transactions would have to end first
    }
    deadline = time.monotonic() + settings.connect_timeout
    client = build(Consumer, confluent_config(settings, own))
    try:
        while True:
            try:
                found = committed_offsets(client, partitions, max(0.01, deadline - time.monotonic()))
            except KafkaException as error:
                if error.args[0].code() not in _MOVING or time.monotonic() + _PAUSE_S >= deadline:
                    raise
                time.sleep(_PAUSE_S)
            else:
                return {each: offset for each, offset in found.items() if offset is not None}
    finally:
        client.close()


def _answer(future: Future[Any], deadline: float) -> Any:
    return future.result(max(0.0, deadline - time.monotonic()))


def _group(
    description: ConsumerGroupDescription,
    positions: Mapping[TopicPartition, int],
    end_offsets: Mapping[TopicPartition, int],
) -> TopicGroup:
    members = [_member(each, end_offsets) for each in description.members or ()]
    readers = tuple(each for each in members if each.partitions)
    lags = {each: max(0, end - positions.get(each, 0)) for each, end in end_offsets.items()}
    unassigned = len(set(end_offsets) - set[TopicPartition]().union(*(each.partitions for each in readers)))
    lag = sum(lags.values())
    return TopicGroup(str(description.group_id), len(readers), unassigned, positions, lag, lags, readers)


def _member(member: MemberDescription, end_offsets: Mapping[TopicPartition, int]) -> GroupMember:
    read = {TopicPartition(each.topic, each.partition) for each in member.assignment.topic_partitions}
    return GroupMember(
        str(member.member_id),
        str(member.client_id),
        str(member.host).removeprefix("/"),
        member.group_instance_id or None,
        frozenset(read.intersection(end_offsets)),
    )
