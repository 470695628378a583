"""Which server is taken: given, local, embedded."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from kallback.testing import KafkaOptions, NoServerError, NotOursError, RestateOptions
from kallback.testing.environment import ServerEnvironment
from kallback.testing.servers.embedded_kafka import EmbeddedKafka
from kallback.testing.servers.kafka import GivenKafka
from kallback.testing.servers.restate import GivenRestate
from kallback.testing.stack import choose_kafka, choose_restate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerEnvironment:
    """A machine with nothing installed, where nothing may be downloaded."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return ServerEnvironment.read({"KALLBACK_CACHE": str(tmp_path / "cache"), "KALLBACK_TEST_DOWNLOADS": "0"})


def test_a_given_kafka_is_taken_as_it_is() -> None:
    """The argument wins over the environment, and both over everything else."""
    environment = ServerEnvironment.read({"KALLBACK_TEST_KAFKA": "env:9092"})

    assert choose_kafka(KafkaOptions(), environment).bootstrap_servers == "env:9092"
    assert choose_kafka(KafkaOptions(bootstrap_servers="arg:1"), environment).bootstrap_servers == "arg:1"


def test_a_given_restate_needs_both_addresses() -> None:
    """One address alone is a mistake, not a reason to start a server."""
    with pytest.raises(NoServerError, match="set both"):
        choose_restate(RestateOptions(ingress_url="http://r:8080"), ServerEnvironment.read({}))


def test_given_servers_cannot_be_killed() -> None:
    """What was given by its address is not ours to end."""
    servers = (GivenKafka("kafka:9092"), GivenRestate("http://r:8080", "http://r:9070"))

    for server in servers:
        for end in (server.stop, server.kill, server.pause, server.resume):
            with pytest.raises(NotOursError, match="was given by its address"):
                end()


def test_without_java_the_embedded_broker_stands_in(bare: ServerEnvironment, caplog: pytest.LogCaptureFixture) -> None:
    """One line says what is missing and what the stand-in cannot do."""
    with caplog.at_level(logging.WARNING):
        server = choose_kafka(KafkaOptions(), bare)

    assert isinstance(server, EmbeddedKafka)
    assert len(caplog.records) == 1
    assert "install Java 17" in caplog.text
    assert "embedded broker" in caplog.text


@pytest.mark.parametrize(
    "options", [KafkaOptions(embedded=False), KafkaOptions(port=9092), KafkaOptions(properties={"a": "b"})]
)
def test_the_embedded_broker_is_not_taken_for_a_real_one(bare: ServerEnvironment, options: KafkaOptions) -> None:
    """Who asks for what only a real Kafka does gets the error instead."""
    with pytest.raises(NoServerError, match="install Java 17"):
        choose_kafka(options, bare)
