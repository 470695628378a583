"""What the clients are told, and what happens where one is not installed."""

from __future__ import annotations

import logging
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from confluent_kafka import Consumer

from kallback.kafka import AiokafkaConsumer, ConsumerOptions, GroupProtocol, Record, TopicPartition
from kallback.kafka.aiokafka.client import aiokafka_config
from kallback.kafka.aiokafka.membership.group_member import TOPICS_REFRESH_MS, member_config
from kallback.kafka.confluent.client import build, confluent_config
from kallback.kafka.confluent.membership.group_member import consumer_config, reader_config
from kallback.kafka.confluent.messages import record_of
from kallback.kafka.offsets.topic_changes import TOPIC_LOOK_INTERVAL_S
from kallback.kafka.records import memory_of
from kallback.lifecycle import LogRation
from kallback.protocol.errors import ConfigurationError
from kallback.settings import KafkaSecurity, KafkaSettings, SaslMechanism, Secret, SecurityProtocol

FILES: dict[str, Any] = {
    "ca_file": Path("/ca.pem"),
    "cert_file": Path("/me.pem"),
    "key_file": Path("/me.key"),
    "key_password": Secret("pw"),
}


def sasl() -> KafkaSettings:
    """Make settings with SASL over TLS."""
    security = KafkaSecurity(
        protocol=SecurityProtocol.SASL_SSL,
        mechanism=SaslMechanism.SCRAM_SHA_256,
        username="me",
        password=Secret("hush"),
    )
    return KafkaSettings("broker:9093", security, "mine")


def test_lines_of_aiokafka_are_rationed_whoever_handles_them() -> None:
    """A program that runs a worker itself has handlers of its own."""
    for name in ("aiokafka", "aiokafka.cluster", "aiokafka.consumer.fetcher", "aiokafka.producer.sender"):
        assert any(isinstance(each, LogRation) for each in logging.getLogger(name).filters), name


def test_sasl_reaches_librdkafka() -> None:
    """Protocol, mechanism, user and password are its options."""
    config = confluent_config(sasl(), {})
    assert config["bootstrap.servers"] == "broker:9093"
    assert config["security.protocol"] == "SASL_SSL"
    assert config["sasl.mechanism"] == "SCRAM-SHA-256"
    assert (config["sasl.username"], config["sasl.password"]) == ("me", "hush")


def test_tls_files_reach_librdkafka() -> None:
    """Authorities, certificate, key and its password are its options."""
    security = KafkaSecurity(protocol=SecurityProtocol.SSL, **FILES)
    config = confluent_config(KafkaSettings(security=security), {})
    assert config["ssl.ca.location"] == "/ca.pem"
    assert config["ssl.certificate.location"] == "/me.pem"
    assert config["ssl.key.location"] == "/me.key"
    assert config["ssl.key.password"] == "pw"


def test_sasl_over_tls_reaches_aiokafka() -> None:
    """User, password and a verifying TLS context are its arguments."""
    config = aiokafka_config(sasl())
    assert config["sasl_mechanism"] == "SCRAM-SHA-256"
    assert (config["sasl_plain_username"], config["sasl_plain_password"]) == ("me", "hush")
    assert config["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert config["ssl_context"].check_hostname


def test_an_unreadable_tls_file_is_an_error_that_names_the_variables() -> None:
    """Aiokafka wants files read at once: what fails says which variables to check."""
    security = KafkaSecurity(protocol=SecurityProtocol.SSL, **FILES)
    with pytest.raises(ConfigurationError, match="KALLBACK_KAFKA_SSL_CA_FILE"):
        aiokafka_config(KafkaSettings(security=security))


@pytest.mark.parametrize(
    "option",
    [
        "security.protocol", "sasl.mechanism", "ssl.ca.location", "enable.ssl.certificate.verification",
        "Security.Protocol", " sasl.mechanism", "security_protocol", "SSL_CONTEXT",
    ],
)  # fmt: skip
def test_aiokafka_refuses_security_that_it_would_ignore(option: str) -> None:
    """It would connect in plain text, or trust everybody."""
    with pytest.raises(ConfigurationError, match=rf"{option}, which aiokafka ignores: use client confluent"):
        aiokafka_config(KafkaSettings(extra={option: "x"}))


def test_the_bytes_of_a_response_reach_librdkafka_unless_the_user_has_set_them() -> None:
    """It has all batches of a response in memory at once, whatever they unfold to."""
    options = ConsumerOptions(response_bytes=2048)
    limits = {"fetch.max.bytes", "fetch.message.max.bytes"}
    own = consumer_config(KafkaSettings(), "group", options)
    theirs = consumer_config(KafkaSettings(extra=dict.fromkeys(limits, "65536")), "group", options)
    assert {own[each] for each in limits} == {2048}
    assert {theirs[each] for each in limits} == {"65536"}
    build(Consumer, theirs).close()


def test_extra_options_pass_through_to_librdkafka() -> None:
    """They win over kallback's own, except where guarantees rest on them."""
    config = confluent_config(KafkaSettings(extra={"linger.ms": "5"}), {"linger.ms": 0})
    assert config["linger.ms"] == "5"


@pytest.mark.parametrize("option", ["debug", "log_level"])
def test_lines_of_librdkafka_are_shown_to_who_asks_for_them_only(option: str) -> None:
    """Fatal errors reach kallback as errors; the raw line of one stood between the lines of a command."""
    assert not confluent_config(KafkaSettings(), {})["logger"].isEnabledFor(logging.CRITICAL)
    assert "logger" not in confluent_config(KafkaSettings(extra={option: "7"}), {})


@pytest.mark.parametrize(
    "option", ["enable.auto.commit", "acks", "isolation.level", "group.id", "metadata.broker.list"]
)
def test_an_extra_option_that_breaks_a_guarantee_is_refused(option: str) -> None:
    """Nobody loses records by a pass-through option."""
    with pytest.raises(ConfigurationError, match=f"may not set {option}"):
        confluent_config(KafkaSettings(extra={option: "x"}), {})


def test_an_option_that_librdkafka_refuses_is_an_error_of_configuration() -> None:
    """Its own words, and where to change it."""
    from confluent_kafka import Producer  # noqa: PLC0415 - only this test needs it

    with pytest.raises(ConfigurationError, match=r"no\.such\.option.*KALLBACK_KAFKA_EXTRA"):
        build(Producer, confluent_config(KafkaSettings(extra={"no.such.option": "1"}), {}))


@pytest.mark.parametrize(
    ("key", "value", "given", "headers"),
    [
        (b"k", b"v", [("a", b"1"), ("b", None), ("a", b"2")], (("a", b"1"), ("b", None), ("a", b"2"))),
        (None, None, None, ()),
    ],
)
def test_a_message_is_kept_as_kafka_holds_it(key: Any, value: Any, given: Any, headers: Any) -> None:
    """Order, duplicates and headers without a value stay; no headers are an empty tuple, no key and value are None.

    What the record takes is measured with it, once.
    """
    message = Mock(**{"key.return_value": key, "value.return_value": value, "headers.return_value": given})
    message.timestamp.return_value = (1, 5)
    record = record_of(message, TopicPartition("t", 2), 7, 3)
    assert record == Record("t", 2, 7, 5, key, value, headers, 3, size=memory_of(key, value, headers))
    hash(record)


def test_a_classic_member_is_cooperative() -> None:
    """Offsets are ours, rebalances cooperative, membership dynamic."""
    config = consumer_config(KafkaSettings(), "g", ConsumerOptions())
    assert config["enable.auto.commit"] is False
    assert config["partition.assignment.strategy"] == "cooperative-sticky"
    assert "group.instance.id" not in config


def test_a_named_member_is_static_and_eager() -> None:
    """A named member comes back into its last assignment, which must not be a half-made cooperative one."""
    config = consumer_config(KafkaSettings(), "g", ConsumerOptions(group_instance_id="me"))
    assert config["partition.assignment.strategy"] == "roundrobin"
    assert (config["group.instance.id"], config["isolation.level"]) == ("me", "read_committed")


def test_a_kip_848_member_leaves_to_the_broker_what_is_its() -> None:
    """Librdkafka refuses session time-outs and strategies with the new protocol."""
    config = consumer_config(KafkaSettings(), "g", ConsumerOptions(group_protocol=GroupProtocol.CONSUMER))
    assert config["group.protocol"] == "consumer"
    assert config.keys().isdisjoint({"session.timeout.ms", "partition.assignment.strategy"})


async def test_aiokafka_refuses_the_protocol_that_it_does_not_speak() -> None:
    """Said at once, with what to use instead."""
    with pytest.raises(ConfigurationError, match="use confluent-kafka"):
        AiokafkaConsumer(KafkaSettings(), ["t"], "g", options=ConsumerOptions(group_protocol=GroupProtocol.CONSUMER))


@pytest.mark.parametrize(
    ("absent", "name", "remedy"),
    [
        ("confluent_kafka", "ConfluentConsumer", 'pip install "kallback[sdk]" or pip install "kallback[bridge]"'),
        ("confluent_kafka", "ConfluentProducer", 'pip install "kallback[sdk]" or pip install "kallback[bridge]"'),
        ("aiokafka", "AiokafkaConsumer", 'pip install "kallback[workers]" or pip install "kallback[bridge]"'),
        ("aiokafka", "AiokafkaEndOffsets", 'pip install "kallback[workers]" or pip install "kallback[bridge]"'),
    ],
)
def test_a_client_that_is_not_installed_is_missed_only_when_used(absent: str, name: str, remedy: str) -> None:
    """Importing the room works without either client; the first use says the command to type."""
    program = f"""
import sys
sys.modules[{absent!r}] = None
import kallback.kafka
assert not {{"confluent_kafka", "aiokafka"}} & {{m for m in sys.modules if sys.modules[m]}}
try:
    kallback.kafka.{name}
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"the package {absent.replace('_', '-')} is not installed: {remedy}\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The lazy module behaves as any module."""
    import kallback.kafka as room  # noqa: PLC0415 - as a user does

    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = room.Nothing
    assert all(hasattr(room, name) for name in room.__all__)


@pytest.mark.parametrize(
    "milliseconds",
    [
        TOPIC_LOOK_INTERVAL_S * 1000,
        consumer_config(KafkaSettings(), "g", ConsumerOptions())["topic.metadata.refresh.interval.ms"],
        reader_config(KafkaSettings())["topic.metadata.refresh.interval.ms"],
        member_config("g", ConsumerOptions())["metadata_max_age_ms"],
        TOPICS_REFRESH_MS,
    ],
    ids=["topics", "confluent-member", "confluent-reader", "aiokafka-member", "aiokafka-reader"],
)
def test_changes_of_topics_are_looked_for_three_times_in_half_a_minute(milliseconds: Any) -> None:
    """Within 30 s a change is noticed; tests on real servers look more often, and do not see what the clients do."""
    assert milliseconds <= 10_000
