"""Which Kafka client a worker uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from kallback.cli.commands import worker as command
from kallback.kafka import (
    AiokafkaConsumer,
    AiokafkaReader,
    ConfluentConsumer,
    ConfluentReader,
    ConsumerOptions,
    clients_of,
)
from kallback.protocol import ConfigurationError
from kallback.settings import KafkaSettings
from kallback.workers import Client, Worker

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv


async def test_aiokafka_makes_its_own() -> None:
    """Consumer and reader are of one client."""
    clients = clients_of(Client.AIOKAFKA, KafkaSettings())

    assert isinstance(clients.consumer(["a"], "g", ConsumerOptions()), AiokafkaConsumer)
    assert isinstance(clients.reader("a", 0), AiokafkaReader)


async def test_confluent_makes_its_own() -> None:
    """Consumer and reader are of one client."""
    clients = clients_of(Client.CONFLUENT, KafkaSettings())

    assert isinstance(clients.consumer(["a"], "g", ConsumerOptions()), ConfluentConsumer)
    reader = clients.reader("a", 0)
    assert isinstance(reader, ConfluentReader)
    await reader.stop()


def test_an_unknown_client_is_refused() -> None:
    """The sentence names those that there are."""
    with pytest.raises(ConfigurationError, match="write 'aiokafka' or 'confluent'"):
        Worker("kitchen", client="kafka-python")  # type: ignore[arg-type] # wrong on purpose


async def test_a_client_is_chosen_before_the_start(env: WorkerEnv) -> None:
    """And not where the worker brings its own clients."""
    with pytest.raises(ConfigurationError, match="before it starts, and not beside kafka="):
        env.worker().use_client("confluent")


def test_the_command_chooses_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--client` wins over what the worker says; without it the worker's own stays."""
    served: list[Worker] = []
    (tmp_path / "canteen.py").write_text("from kallback.workers import Worker\nworker = Worker('canteen')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(command, "serve", served.append)
    for arguments in ([], ["--client", "confluent"]):
        shown = CliRunner().invoke(command.worker, ["canteen:worker", *arguments])
        assert shown.exit_code == 0, shown.output
        assert served[-1]._client is (Client.CONFLUENT if arguments else Client.AIOKAFKA)


def test_a_missing_confluent_kafka_names_the_command() -> None:
    """The sentence says what to install."""
    code = """
import sys, asyncio
sys.modules["confluent_kafka"] = None
from kallback.protocol import MissingExtraError, TaskType
from kallback.workers import Worker
worker = Worker("kitchen", client="confluent")
worker.task(TaskType("echo", request=str, result=str))(lambda text: text)
try:
    asyncio.run(worker.run())
except MissingExtraError as error:
    print(error)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert 'pip install "kallback[' in shown.stdout
