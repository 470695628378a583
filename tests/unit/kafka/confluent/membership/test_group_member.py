"""How a group member on librdkafka is configured."""

from __future__ import annotations

from kallback.kafka import ConsumerOptions
from kallback.kafka.confluent.membership.group_member import consumer_config
from kallback.settings import KafkaSettings


def test_a_drain_does_not_cost_the_membership() -> None:
    """Nothing is polled meanwhile: librdkafka leaves the group when its interval is over, five minutes by default."""
    options = ConsumerOptions(drain_timeout=3600)
    interval = consumer_config(KafkaSettings(), "readers", options)["max.poll.interval.ms"]
    assert isinstance(interval, int)
    assert interval > options.drain_timeout * 1000
