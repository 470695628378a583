"""Which Kafka client a bridge uses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from kallback.bridge import Client
from kallback.bridge.dependencies import chosen_clients
from kallback.bridge.options import BridgeOptions
from kallback.kafka import IN_BATCHES, AiokafkaConsumer, AiokafkaEndOffsets, AiokafkaProducer
from kallback.settings import Settings

PROGRAM = """
import json, os, sys
os.environ["KALLBACK_INSECURE"] = "1"
from kallback.bridge import Bridge, BridgeOptions, Client
from kallback.settings import Settings
Bridge(Settings.from_env(), BridgeOptions(client=Client(sys.argv[1])))
print(json.dumps(sorted({"aiokafka", "confluent_kafka"} & set(sys.modules))))
"""


@pytest.mark.parametrize(("client", "loaded"), [("aiokafka", ["aiokafka"]), ("confluent", ["confluent_kafka"])])
def test_a_bridge_loads_the_client_that_it_uses(client: str, loaded: list[str]) -> None:
    """The other library would cost memory, and need not be installed."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, client], capture_output=True, check=True)
    assert json.loads(done.stdout) == loaded


async def test_with_aiokafka_every_role_uses_it() -> None:
    """Consumers, the producer, and what asks where topics end."""
    settings, options = Settings(), BridgeOptions(client=Client.AIOKAFKA)
    clients = chosen_clients(settings, options)

    assert isinstance(clients.consumer(["a"], "g", options.for_consumer()), AiokafkaConsumer)
    assert isinstance(clients.producer(IN_BATCHES), AiokafkaProducer)
    assert isinstance(clients.end_offsets(), AiokafkaEndOffsets)


def test_confluent_is_the_default() -> None:
    """An upgrade changes no client."""
    assert BridgeOptions().client is Client.CONFLUENT
