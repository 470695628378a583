"""Consumers on librdkafka: the configuration of a group member and of a reader, and its types as ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.kafka.confluent.client import Value, confluent_config
from kallback.kafka.consumer import Assignment, ConsumerOptions, GroupProtocol
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.records import TopicPartition

from confluent_kafka import TopicPartition as ClientPartition  # isort: skip - the check comes first

if TYPE_CHECKING:
    from kallback.settings import KafkaSettings


TOPICS_REFRESH_MS: Final = 10_000
"""5 minutes by default: added partitions, and topics that are created anew, would be noticed as late."""

_LEAST_POLL_INTERVAL_S: Final = 300.0
"""librdkafka's default. What drains is not polled, and the group does not wait for longer than this interval."""


def consumer_config(settings: KafkaSettings, group: str, options: ConsumerOptions) -> dict[str, Value]:
    """Return librdkafka's configuration of a group member."""
    own: dict[str, Value] = {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,  # the position of an idle partition, beyond transaction markers too
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "check.crcs": True,
        "allow.auto.create.topics": False,
        "topic.metadata.refresh.interval.ms": TOPICS_REFRESH_MS,
        "group.protocol": options.group_protocol.value,
        "max.poll.interval.ms": int((_LEAST_POLL_INTERVAL_S + options.drain_timeout) * 1000),
    }
    if options.group_instance_id is not None:
        own["group.instance.id"] = options.group_instance_id
    if options.group_protocol is GroupProtocol.CLASSIC:  # KIP-848 leaves these to the broker
        own["partition.assignment.strategy"] = _strategy(options)
        own["session.timeout.ms"] = int(options.session_timeout * 1000)
        own["heartbeat.interval.ms"] = int(min(3.0, options.session_timeout / 3) * 1000)
    return confluent_config(settings, own | _fetch_limits(settings, options))


def _strategy(options: ConsumerOptions) -> str:
    """Return how partitions are assigned: eagerly with an instance id, else as the options say.

    The eager strategy is the one that aiokafka uses, too.

    A member that comes back under its id gets its last assignment from the broker, without a rebalance. A cooperative
    rebalance has assignments that are good for a moment only, between giving up and taking over; a member that crashes
    there and comes back would make that moment last, and no member would read what was given up.
    """
    is_cooperative = options.assignment is Assignment.COOPERATIVE and options.group_instance_id is None
    return "cooperative-sticky" if is_cooperative else "roundrobin"


def reader_config(settings: KafkaSettings) -> dict[str, Value]:
    """Return the configuration of a consumer without a group, whose partitions are assigned by hand."""
    own: dict[str, Value] = {
        "group.id": "kallback-reader",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "check.crcs": True,
        "allow.auto.create.topics": False,
        "topic.metadata.refresh.interval.ms": TOPICS_REFRESH_MS,
    }
    ahead: dict[str, Value] = {"queued.min.messages": 1}  # each batch may unfold to megabytes, and none waits for it
    return confluent_config(settings, own | _fetch_limits(settings, ConsumerOptions()) | ahead)


def _fetch_limits(settings: KafkaSettings, options: ConsumerOptions) -> dict[str, Value]:
    """Return what bounds the memory of a consumer, however many partitions it has.

    librdkafka decompresses all batches of a response before it counts anything, and it counts values only: neither keys
    nor headers. So a response is small, of all partitions together; a first batch that is larger comes all the same.
    `receive.message.max.bytes` also bounds what a zstd batch may unfold to. What KALLBACK_KAFKA_EXTRA sets stays valid.
    """
    least = options.response_bytes
    largest = _extra(settings, "message.max.bytes", least)
    fetch = max(largest, _extra(settings, "fetch.max.bytes", least))
    return {
        "message.max.bytes": largest,  # no fetch may be smaller
        "fetch.max.bytes": fetch,
        "fetch.message.max.bytes": least,
        "receive.message.max.bytes": max(options.batch_bound(settings.max_request_bytes), fetch + 512),
        "queued.min.messages": 20,  # 100,000 by default; of a partition with more, nothing is fetched ahead
        "queued.max.messages.kbytes": 2048,  # 64 MiB by default; not faster, and several readers share a process
        "fetch.queue.backoff.ms": 1,  # 1 s by default, too long for a small queue; with 0 it spins at a full one
    }


def _extra(settings: KafkaSettings, option: str, default: int) -> int:
    """Return an option that the user has set; one that is no number is refused by librdkafka."""
    try:
        return int(settings.extra.get(option, default))
    except ValueError:
        return default


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
