"""Asks Kafka for topic ids and partitions through an aiokafka client, whose own metadata requests know no ids.

The request is Kafka's Metadata of version 10 (https://kafka.apache.org/protocol#The_Messages_Metadata), which brokers
answer since 2.8. aiokafka has no public way to send a request of one's own; a test holds this module against aiokafka.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportPrivateUsage=false, reportIncompatibleMethodOverride=false
# pyright: reportAssignmentType=false

from __future__ import annotations

import asyncio
import random
import uuid
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kallback.kafka.aiokafka.client import log
from kallback.kafka.aiokafka.membership.group_member import client_partition, ours
from kallback.kafka.errors import error_for
from kallback.kafka.offsets.topic_changes import TopicFacts, TopicState
from kallback.kafka.records import TopicPartition

from aiokafka import AIOKafkaConsumer, errors  # isort: skip - the check comes first
from aiokafka.protocol.api import Request, RequestStruct, Response  # isort: skip
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from io import BytesIO

    from kallback.protocol.errors import KallbackError

_PATIENCE_S: Final = 5.0
_NO_ERROR: Final = 0
_UNKNOWN_TOPIC: Final = 3
_TOPIC_DENIED: Final = 29
_NO_ID: Final = uuid.UUID(int=0)


class _Uuid:
    """Sixteen bytes."""

    def encode(self, value: uuid.UUID) -> bytes:
        return value.bytes

    def decode(self, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))

    def repr(self, value: uuid.UUID) -> str:
        return str(value)


_UUID: Final[Any] = _Uuid()
_NAME: Final = CompactString("utf-8")
_PARTITION: Final = (
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("isr", CompactArray(Int32)),
    ("offline_replicas", CompactArray(Int32)),
    ("tags", TaggedFields),
)
_TOPIC: Final = (
    ("error_code", Int16),
    ("topic", _NAME),
    ("topic_id", _UUID),
    ("is_internal", Boolean),
    ("partitions", CompactArray(*_PARTITION)),
    ("authorized_operations", Int32),
    ("tags", TaggedFields),
)
_BROKER: Final = (("node_id", Int32), ("host", _NAME), ("port", Int32), ("rack", _NAME), ("tags", TaggedFields))


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(*_BROKER)),
        ("cluster_id", _NAME),
        ("controller_id", Int32),
        ("topics", CompactArray(*_TOPIC)),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequestStruct(RequestStruct):
    API_KEY = 3
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _UUID), ("topic", _NAME), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):
    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> _MetadataRequestStruct:
        return request_struct_class([(_NO_ID, each, {}) for each in self._topics], False, False, False, {})  # noqa: FBT003 - fields in order


async def topic_facts(
    inner: AIOKafkaConsumer,
    topics: Collection[str],
    begins: Collection[TopicPartition],
    owned: Collection[TopicPartition],
) -> TopicFacts:
    """Return what Kafka says about topics, where logs begin, and what the group has committed."""
    answers = await _answers(inner, topics)
    states = _states(answers)
    found: dict[TopicPartition, int] = {}
    committed: dict[TopicPartition, int | None] = {}
    try:
        async with asyncio.timeout(_PATIENCE_S):
            if begins:
                first_offsets = await inner.beginning_offsets([client_partition(each) for each in begins])
                found = {ours(each): offset for each, offset in first_offsets.items()}
            for each in owned if states else ():
                committed[each] = await inner.committed(client_partition(each))
    except (errors.KafkaError, TimeoutError) as error:
        log.debug("Kafka does not say where logs begin", reason=repr(error))
    return TopicFacts(states, found, committed, [each for each in answers if answers[each].code == _TOPIC_DENIED])


def denied_topic(facts: TopicFacts) -> KallbackError | None:
    """Return the error for a topic that may not be read; None if there is none.

    A fetch does not always meet it: without the topic's partitions the group assigns none, and nothing is fetched.
    """
    for topic in facts.denied:
        text = errors.TopicAuthorizationFailedError.__name__
        return error_for(_TOPIC_DENIED, text, what=f"reading {topic}", topic=topic)
    return None


async def topic_states(inner: AIOKafkaConsumer, topics: Collection[str]) -> dict[str, TopicState | None]:
    """Return what Kafka says about topics; one that does not exist is None, one that is unknown is left out."""
    return _states(await _answers(inner, topics))


def _states(answers: Mapping[str, _TopicAnswer]) -> dict[str, TopicState | None]:
    states: dict[str, TopicState | None] = {}
    for topic, answer in answers.items():
        if answer.code == _NO_ERROR:
            states[topic] = answer.state
        elif answer.code == _UNKNOWN_TOPIC:
            states[topic] = None
    return states


async def leaderless(inner: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    """Return the partitions of a topic that no broker leads; none if Kafka does not say."""
    answers = await _answers(inner, [topic])
    return (
        [TopicPartition(topic, number) for number in sorted(answers[topic].state.leaderless)]
        if topic in answers
        else []
    )


async def learn_topics(inner: AIOKafkaConsumer, topics: Collection[str]) -> None:
    """Have a client that has no topics yet learn who leads their partitions.

    A question about a partition whose leader is unknown would be asked again after a pause of 0.1 s.
    """
    client: Any = inner._client  # noqa: SLF001 - see the module's docstring
    await client.set_topics(topics)


async def partition_counts(inner: AIOKafkaConsumer, topics: Collection[str]) -> dict[str, int]:
    """Return the number of partitions of each topic.

    Raises:
        MissingTopicError, AccessDeniedError: of one of them.
        KafkaUnavailableError: of one of them nothing is known at the moment.
        errors.KafkaError: no answer.
    """
    if not topics:
        return {}  # Kafka would describe all topics
    counts: dict[str, int] = {}
    for topic, answer in (await _described(inner, topics)).items():
        if answer.code != _NO_ERROR:
            name = errors.for_code(answer.code).__name__
            raise error_for(answer.code, name, what=f"looking up {topic!r}", topic=topic)
        counts[topic] = answer.state.partitions
    return counts


class _TopicAnswer(NamedTuple):
    code: int
    state: TopicState


async def _answers(inner: AIOKafkaConsumer, topics: Collection[str]) -> dict[str, _TopicAnswer]:
    """Return what Kafka says about topics; nothing if it does not answer in time."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await _described(inner, topics)
    except (errors.KafkaError, TimeoutError, OSError, NotImplementedError) as error:
        log.debug("Kafka does not describe topics", reason=repr(error))
        return {}


async def _described(inner: AIOKafkaConsumer, topics: Collection[str]) -> dict[str, _TopicAnswer]:
    answer = await _asked(inner, _MetadataRequest(topics))
    return {
        topic: _TopicAnswer(
            code,
            TopicState(
                None if topic_id == _NO_ID else str(topic_id),
                len(partitions),
                frozenset(number for _, number, leader, *_ in partitions if leader < 0),
            ),
        )
        for code, topic, topic_id, _, partitions, *_ in answer.topics
    }


async def _asked(inner: AIOKafkaConsumer, request: _MetadataRequest) -> Any:
    """Return the answer of any broker: one that is down is passed over."""
    client: Any = inner._client  # noqa: SLF001 - see the module's docstring
    nodes = [each.nodeId for each in client.cluster.brokers()]
    random.shuffle(nodes)
    failure: Exception = errors.NodeNotReadyError()
    for node in nodes:
        try:
            return await client.send(node, request)
        except (errors.NodeNotReadyError, errors.KafkaConnectionError) as error:
            failure = error
    raise failure
