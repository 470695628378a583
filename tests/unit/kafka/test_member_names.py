"""Names of groups and of their members, with which a client would end the process or join another group."""

from __future__ import annotations

import pytest

from kallback.bridge import BridgeOptions
from kallback.kafka import AiokafkaConsumer, ConfluentConsumer, ConsumerOptions
from kallback.protocol.errors import ConfigurationError
from kallback.settings import KafkaSettings
from kallback.workers import Worker

WRONG_GROUPS = [" ", "\t\n", "\0", "shop\0", " shop", "shop ", "shop\n2", "\udcff", "g" * 40_000]
WRONG_MEMBERS = ["", " ", "me ", "a/b", ".", "\0", "m" * 250]
SENTENCE = "is no name of a consumer group"


@pytest.mark.parametrize("group", ["", *WRONG_GROUPS])
@pytest.mark.parametrize("client", [AiokafkaConsumer, ConfluentConsumer])
def test_no_client_gets_a_group_that_it_cannot_join(
    client: type[AiokafkaConsumer | ConfluentConsumer], group: str
) -> None:
    """At a blank one librdkafka aborts the process, and it cuts others off."""
    with pytest.raises(ConfigurationError, match=SENTENCE):
        client(KafkaSettings(), ["results"], group)


@pytest.mark.parametrize("group", WRONG_GROUPS)
def test_a_bridge_refuses_such_a_group(group: str) -> None:
    """Before it connects to anything."""
    with pytest.raises(ConfigurationError, match=SENTENCE):
        BridgeOptions(group=group)


@pytest.mark.parametrize("group", [group for group in WRONG_GROUPS if group.strip()])
def test_a_worker_refuses_such_a_group(group: str) -> None:
    """Where it is written."""
    with pytest.raises(ConfigurationError, match=SENTENCE):
        Worker(group)


@pytest.mark.parametrize("name", WRONG_MEMBERS)
def test_an_instance_id_that_brokers_refuse(name: str) -> None:
    """Of a bridge and of a worker, however it is given."""
    with pytest.raises(ConfigurationError, match="instance id"):
        ConsumerOptions(group_instance_id=name)
    with pytest.raises(ConfigurationError, match="instance id"):
        Worker("kitchen").use_instance_id(name)


@pytest.mark.parametrize("group", ["kitchen", "the kitchen of shop 7", "küche", "kallback.results.bridge"])
def test_other_groups_are_free(group: str) -> None:
    """Kafka itself takes any text."""
    assert Worker(group).group == group
    assert BridgeOptions(group=group).group_for("results") == group
