"""After which silence Kafka gives a worker's partitions to others."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kallback.cli.commands import worker as command
from kallback.kafka import ConsumerOptions, clients_of
from kallback.protocol import ConfigurationError, TaskType
from kallback.settings import KafkaSettings, Settings
from kallback.workers import Client, Worker, WorkerOptions
from kallback.workers.runtime_config import RuntimeConfig


@pytest.mark.parametrize(
    ("beats", "chosen", "timeout"),
    [
        ([], {}, 45.0),
        ([1.0], {}, 10.0),
        ([30.0, 8.0], {}, 16.0),
        ([60.0], {}, 45.0),
        ([1.0], {"session_timeout": 7.0}, 7.0),
        ([1.0], {"consumer": ConsumerOptions(session_timeout=6.0)}, 6.0),
    ],
)
def test_the_session_timeout_follows_from_the_heartbeats(
    beats: list[float], chosen: dict[str, Any], timeout: float
) -> None:
    """Two intervals, between 10 and 45 s; what is chosen counts."""
    worker = Worker("kitchen", options=WorkerOptions(**chosen))
    types = [TaskType("plain", str, str)]
    types += [TaskType(f"t{beat:g}", str, str, heartbeat_every=timedelta(seconds=beat)) for beat in beats]
    for each in types:
        worker.task(each)(_cook)
    functions = {each.name: worker.function_of(each) for each in types}
    clients = clients_of(Client.AIOKAFKA, KafkaSettings())
    config = RuntimeConfig("kitchen", functions, Settings(), worker.options, clients, time.time)
    assert config.consumer.session_timeout == timeout


def test_the_command_chooses_the_session_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--session-timeout` wins; without it, the types decide."""
    served: list[Worker] = []
    (tmp_path / "buffet.py").write_text("from kallback.workers import Worker\nworker = Worker('buffet')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(command, "serve", served.append)
    timeouts = []
    for arguments in ([], ["--session-timeout", "20"]):
        assert CliRunner().invoke(command.worker, ["buffet:worker", *arguments]).exit_code == 0
        timeouts.append(served[-1].options.session_timeout)
    assert timeouts == [None, 20.0]


def test_a_session_of_no_length_is_refused() -> None:
    """By the options and by the command."""
    with pytest.raises(ConfigurationError, match="session_timeout must be above 0"):
        WorkerOptions(session_timeout=0.0)
    assert CliRunner().invoke(command.worker, ["buffet:worker", "--session-timeout", "0"]).exit_code == 2


async def _cook(dish: str) -> str:
    return dish


@pytest.mark.parametrize("name", ["concurrency", "drain_timeout"])
def test_the_command_chooses(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its option wins over what the worker was created with."""
    served: list[Worker] = []
    made = f"worker = Worker('bar', options=WorkerOptions({name}=4))\n"
    (tmp_path / f"bar_{name}.py").write_text(f"from kallback.workers import Worker, WorkerOptions\n{made}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(command, "serve", served.append)
    found = []
    for arguments in ([], [f"--{name.replace('_', '-')}", "8"]):
        assert CliRunner().invoke(command.worker, [f"bar_{name}:worker", *arguments]).exit_code == 0
        found.append(getattr(served[-1].options, name))
    assert found == [4, 8]
