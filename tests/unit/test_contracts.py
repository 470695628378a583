"""The import contracts of pyproject.toml bite: a violated one is seen to fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of a copy of the package."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the package, to be spoiled."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("workers/trespasser", "import restate", "Only sdk imports restate"),
        ("bridge/trespasser", "import confluent_kafka", "Only kafka imports a Kafka client"),
        ("workers/trespasser", "import rich", "Only cli imports the libraries of the command line"),
        ("bridge/trespasser", "import kallback.sdk", "Arrows point one way"),
        ("protocol/trespasser", "import time", "The wire is pure"),
        ("kafka/trespasser", "import kallback.protocol.tokens", "kafka knows nothing of tasks"),
        ("sdk/journal/trespasser", "import kallback.sdk.tasks.task", "Layers of sdk"),
        ("sdk/tasks/task", "import kallback.sdk.tasks.running_task", "Layers of sdk.tasks"),
        ("sdk/monitoring/decide", "import time", "Decisions on watched tasks are pure"),
        ("workers/options", "import kallback.workers.runtime", "Layers of workers"),
        ("workers/attempts/table", "import kallback.workers.attempts.runner", "Layers of workers.attempts"),
        ("workers/intake/scheduler", "import kallback.workers.intake.fetch_loop", "Layers of workers.intake"),
        ("workers/execution/child", "import kallback.workers.execution.process_pool", "Layers of workers.execution"),
        ("workers/attempts/decide", "import time", "Decisions on tasks are pure"),
        ("bridge/results/trespasser", "import kallback.bridge.in_flight.limits", "Layers of bridge"),
        ("bridge/results/decide", "import asyncio", "Decisions on results and progress are pure"),
        ("bridge/progress/coalescer", "import time", "The circuit breaker and the coalescer are given the time"),
        ("gateway/trespasser", "import kallback.bridge", "Arrows point one way"),
        ("web/messages", "import kallback.web.connection", "Layers of web"),
        ("gateway/responses", "import kallback.gateway.requests", "Layers of gateway"),
        ("gateway/records", "import time", "Decisions on HTTP requests are pure"),
        ("operations/trespasser", "import kallback.testing", "Arrows point one way"),
        ("wire_check/verdicts/decide", "import time", "Checks of the wire are pure"),
        ("wire_check/ledger", "import kallback.wire_check.runner", "Layers of wire_check"),
        ("wire_check/runner", "import kallback.workers", "wire_check needs neither Restate nor a role"),
        ("operations/tasks", "import kallback.operations.pending", "Layers of operations"),
        ("kafka/confluent/trespasser", "import kallback.kafka.aiokafka.client", "Layers of kafka"),
        ("kafka/memory/trespasser", "import kallback.kafka.confluent.client", "Layers of kafka"),
        ("kafka/offsets/tracker", "import threading", "Offsets, records and statuses are pure"),
        ("kafka/offsets/record_buffer", "import asyncio", "The record buffer knows no event loop and no client"),
        ("health/trespasser", "import kallback.kafka.records", "health knows neither Kafka nor Restate"),
    ],
)
def test_a_violated_contract_fails(tree: Path, module: str, line: str, contract: str) -> None:
    """One import in the wrong place, in a new module or an old one, breaks the contract that forbids it."""
    with (tree / "src" / "kallback" / f"{module}.py").open("a") as code:
        code.write(f"{line}\n")
    result = lint(tree)
    assert result.returncode != 0
    assert f"{contract} BROKEN" in result.stdout


def test_the_tree_keeps_its_contracts(tree: Path) -> None:
    """Without a trespasser all is well, so the failures above are the trespasser's."""
    assert lint(tree).returncode == 0
