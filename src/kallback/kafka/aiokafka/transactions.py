"""Asks Kafka for open transactions. No client library for Python has these questions; aiokafka lets others add some.

Source of the formats: `DescribeProducersRequest.json`, `ListTransactionsRequest.json` and their responses in Apache
Kafka (`clients/src/main/resources/common/message`), version 0 of each, which brokers have since 2.8 and 3.0.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUntypedBaseClass=false, reportUnknownParameterType=false
# pyright: reportIncompatibleMethodOverride=false, reportAssignmentType=false

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from kallback.kafka.aiokafka.bootstrap import reachable_config
from kallback.kafka.aiokafka.client import translated
from kallback.kafka.errors import DENIED, TOPIC_DENIED, error_for
from kallback.kafka.records import TopicPartition
from kallback.kafka.transactions import PartitionTransaction
from kallback.protocol.errors import KafkaUnavailableError

from aiokafka import errors  # isort: skip - the check comes first
from aiokafka.client import AIOKafkaClient  # isort: skip
from aiokafka.protocol.api import Request, RequestStruct, Response  # isort: skip
from aiokafka.protocol.types import (  # isort: skip
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kallback.settings import KafkaSettings

_PATIENCE_S: Final = 10.0
_WHAT: Final = "asking for open transactions"
_TAGS: Final = ("tags", TaggedFields)
_TEXT: Final = CompactString("utf-8")


class _ProducersResponse(Response):
    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", _TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition_index", Int32),
                        ("error_code", Int16),
                        ("error_message", _TEXT),
                        (
                            "active_producers",
                            CompactArray(
                                ("producer_id", Int64),
                                ("producer_epoch", Int32),
                                ("last_sequence", Int32),
                                ("last_timestamp", Int64),
                                ("coordinator_epoch", Int32),
                                ("current_txn_start_offset", Int64),
                                _TAGS,
                            ),
                        ),
                        _TAGS,
                    ),
                ),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _ProducersRequest(RequestStruct):
    API_KEY = 61
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _ProducersResponse
    SCHEMA = Schema(("topics", CompactArray(("name", _TEXT), ("partition_indexes", CompactArray(Int32)), _TAGS)), _TAGS)


class _DescribeProducers(Request[_ProducersRequest]):
    API_KEY = 61

    def __init__(self, partitions: Iterable[TopicPartition]) -> None:
        by_topic = defaultdict[str, list[int]](list)
        for each in partitions:
            by_topic[each.topic].append(each.partition)
        self._topics: Final[list[Any]] = [(topic, numbers, {}) for topic, numbers in by_topic.items()]

    def build(self, request_struct_class: type[_ProducersRequest]) -> _ProducersRequest:
        """Make the request of a version."""
        return request_struct_class(self._topics, {})


class _TransactionsResponse(Response):
    API_KEY = 66
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("unknown_state_filters", CompactArray(_TEXT)),
        (
            "transaction_states",
            CompactArray(("transactional_id", _TEXT), ("producer_id", Int64), ("transaction_state", _TEXT), _TAGS),
        ),
        _TAGS,
    )


class _TransactionsRequest(RequestStruct):
    API_KEY = 66
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _TransactionsResponse
    SCHEMA = Schema(("state_filters", CompactArray(_TEXT)), ("producer_id_filters", CompactArray(Int64)), _TAGS)


class _ListTransactions(Request[_TransactionsRequest]):
    API_KEY = 66

    def __init__(self, producer_ids: Iterable[int]) -> None:
        self._producer_ids: Final = list(producer_ids)

    def build(self, request_struct_class: type[_TransactionsRequest]) -> _TransactionsRequest:
        """Make the request of a version."""
        return request_struct_class([], self._producer_ids, {})


async def open_transactions(settings: KafkaSettings, topics: Sequence[str]) -> list[PartitionTransaction]:
    """See `kallback.kafka.open_transactions`."""
    client = AIOKafkaClient(**await reachable_config(settings))
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await client.bootstrap()
            await client.set_topics(topics)
            found = await _open(client, topics)
            names = await _names(client, {each.producer_id for each in found})
    except errors.KafkaError as error:
        raise translated(error, what=_WHAT) from None
    except (OSError, NotImplementedError) as error:  # TimeoutError is an OSError
        raise KafkaUnavailableError(f"{_WHAT} failed ({error!r}); trying again may help") from None
    finally:
        await client.close()
    return [_named(each, names) for each in sorted(found, key=lambda each: (each.partition, each.start_offset))]


async def _open(client: Any, topics: Sequence[str]) -> list[PartitionTransaction]:
    """Ask the leader of each partition."""
    by_leader = defaultdict[int, list[TopicPartition]](list)
    for topic in topics:
        for number in client.cluster.partitions_for_topic(topic) or ():
            partition = TopicPartition(topic, number)
            leader = client.cluster.leader_for_partition(partition)
            if leader is not None and leader >= 0:
                by_leader[leader].append(partition)
    found: list[PartitionTransaction] = []
    denied = dict[str, None]()
    for leader, partitions in by_leader.items():
        response = await client.send(leader, _DescribeProducers(partitions))
        for topic, answers, _ in response.topics:
            for number, code, _message, producers, _tags in answers:
                if code in DENIED:
                    denied[repr(topic)] = None
                elif code:
                    raise errors.for_code(code)(f"{topic}[{number}]")
                found += [_transaction(TopicPartition(topic, number), each) for each in producers if each[5] >= 0]
    if denied:
        what = f"reading the open transactions of {', '.join(sorted(denied))}"
        raise error_for(TOPIC_DENIED, "Topic authorization failed", what=what)
    return found


def _transaction(partition: TopicPartition, producer: Sequence[Any]) -> PartitionTransaction:
    producer_id, _epoch, _sequence, written_ms, _coordinator, start_offset, _tags = producer
    return PartitionTransaction(partition, start_offset, producer_id, None, written_ms)


async def _names(client: Any, producer_ids: set[int]) -> dict[int, str]:
    """Ask each broker, for any of them may coordinate a transaction; those that are not told stay without a name."""
    names: dict[int, str] = {}
    if not producer_ids:
        return names
    for broker in client.cluster.brokers():
        try:
            response = await client.send(broker.nodeId, _ListTransactions(producer_ids))
        except (errors.IncompatibleBrokerVersion, NotImplementedError):  # before Kafka 3.0
            return names
        names.update({producer_id: name for name, producer_id, _state, _tags in response.transaction_states})
    return names


def _named(found: PartitionTransaction, names: dict[int, str]) -> PartitionTransaction:
    name = names.get(found.producer_id)
    return PartitionTransaction(found.partition, found.start_offset, found.producer_id, name, found.written_ms)
