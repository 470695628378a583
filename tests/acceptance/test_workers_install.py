"""What `pip install "kallback[workers]"` brings, in an environment of its own."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing but kallback and its extra for workers; returns its bin folder."""
    folder = tmp_path_factory.mktemp("workers")
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", f"{ROOT}[workers]"], check=True, timeout=280)
    return folder / "bin"


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; it must succeed."""
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=60).stdout


def test_it_brings_no_restate_and_no_second_kafka_client(environment: Path, tmp_path: Path) -> None:
    """Workers need neither the Restate SDK nor confluent-kafka."""
    code = (
        "import importlib.util as u; print([m for m in ('restate', 'confluent_kafka', 'aiokafka') if u.find_spec(m)])"
    )

    assert run(environment / "python", "-c", code, cwd=tmp_path).strip() == "['aiokafka']"


def test_a_worker_can_be_made_there(environment: Path, tmp_path: Path) -> None:
    """The whole kit imports, its Kafka client included."""
    code = "import kallback.workers as w; from kallback.kafka import AiokafkaConsumer; print(w.Worker('kitchen'))"

    assert "Worker('kitchen'" in run(environment / "python", "-c", code, cwd=tmp_path)


def test_the_command_runs_there(environment: Path, tmp_path: Path) -> None:
    """`kallback worker` needs nothing of the other roles."""
    assert "MODULE:NAME" in run(environment / "kallback", "worker", "--help", cwd=tmp_path)
