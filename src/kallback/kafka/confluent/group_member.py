"""Consumers on librdkafka: the configuration of a group member and of a reader, and its types as ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kallback.kafka.confluent.client import Value, confluent_config
from kallback.kafka.consumer import ConsumerOptions, GroupProtocol
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.records import TopicPartition

from confluent_kafka import TopicPartition as ClientPartition  # isort: skip - the check comes first

if TYPE_CHECKING:
    from kallback.settings import KafkaSettings


def consumer_config(settings: KafkaSettings, group: str, options: ConsumerOptions) -> dict[str, Value]:
    """Return librdkafka's configuration of a group member."""
    own: dict[str, Value] = {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,  # the position of an idle partition, beyond transaction markers too
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
        "queued.max.messages.kbytes": 16_384,  # 64 MiB by default
        "fetch.queue.backoff.ms": 10,  # 1 s by default: with a small queue it would halt fetching for so long
        "group.protocol": options.group_protocol.value,
    }
    if options.group_instance_id is not None:
        own["group.instance.id"] = options.group_instance_id
    if options.group_protocol is GroupProtocol.CLASSIC:  # KIP-848 leaves these to the broker
        own["partition.assignment.strategy"] = _strategy(options)
        own["session.timeout.ms"] = int(options.session_timeout * 1000)
        own["heartbeat.interval.ms"] = int(min(3.0, options.session_timeout / 3) * 1000)
    return confluent_config(settings, own)


def _strategy(options: ConsumerOptions) -> str:
    """Return how partitions are assigned: cooperatively without an instance id, eagerly with one.

    A member that comes back under its id gets its last assignment from the broker, without a rebalance. A cooperative
    rebalance has assignments that are good for a moment only, between giving up and taking over; a member that crashes
    there and comes back would make that moment last, and no member would read what was given up.
    """
    return "cooperative-sticky" if options.group_instance_id is None else "roundrobin"


def reader_config(settings: KafkaSettings) -> dict[str, Value]:
    """Return the configuration of a consumer without a group, whose partitions are assigned by hand."""
    own: dict[str, Value] = {
        "group.id": "kallback-reader",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
        "queued.max.messages.kbytes": 16_384,  # as group members have it
        "fetch.queue.backoff.ms": 10,
    }
    return confluent_config(settings, own)


def ours(partition: ClientPartition) -> TopicPartition:
    """Return librdkafka's partition as ours."""
    return TopicPartition(partition.topic, partition.partition)


def client_commit(partition: TopicPartition, commit: Commit) -> ClientPartition:
    """Return what is to be committed as librdkafka's."""
    if not commit.metadata:
        return ClientPartition(partition.topic, partition.partition, commit.position)
    return ClientPartition(partition.topic, partition.partition, commit.position, commit.metadata)


def client_partition(partition: TopicPartition) -> ClientPartition:
    """Return our partition as librdkafka's."""
    return ClientPartition(partition.topic, partition.partition)
