"""What a process loads with the names that it imports. A start is as fast as its imports."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

LAZY = ("kallback.health", "kallback.kafka", "kallback.lifecycle", "kallback.settings")

WITHOUT_EXTRAS_OF_RESTATE = """
import sys
sys.modules["restate.harness"] = sys.modules["restate.client"] = None  # as where their packages are not installed
"""


def loaded_by(code: str) -> set[str]:
    """The modules that a new process has after this code."""
    code += "\nimport sys; print(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package in LAZY for name in importlib.import_module(package).__all__]
)
def test_each_public_name_is_there(package: str, name: str) -> None:
    """The table of homes names the module that has it."""
    assert hasattr(importlib.import_module(package), name)


@pytest.mark.parametrize("package", LAZY)
def test_another_name_is_an_error(package: str) -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'Nothing'"):
        _ = importlib.import_module(package).Nothing


def test_declaring_a_worker_loads_nothing_that_runs_one() -> None:
    """Tests, contracts and handlers that import a worker's module need no event loop, no settings and no Kafka."""
    code = "from kallback.workers import TaskContext, TaskFailure, Worker, WorkerOptions; Worker('kitchen')"
    running = {"asyncio", "ssl", "multiprocessing", "aiokafka", "confluent_kafka", "prometheus_client"}
    running |= {"kallback.workers.runtime", "kallback.workers.attempts.decide", "kallback.settings.settings"}
    assert loaded_by(code) & running == set()


def test_a_service_loads_no_client_of_http() -> None:
    """Only logins at a token endpoint need one; and only serving needs hypercorn."""
    code = WITHOUT_EXTRAS_OF_RESTATE + "from kallback.sdk import Callbacks"
    unused = {"http.client", "urllib.request", "httpx", "hypercorn", "kallback.bridge", "aiokafka"}
    assert loaded_by(code) & unused == set()


@pytest.mark.parametrize("client", ["aiokafka", "confluent"])
def test_a_kafka_client_loads_no_client_of_http(client: str) -> None:
    """Only logins at a token endpoint need one."""
    assert loaded_by(f"import kallback.kafka.{client}.producer") & {"http.client", "urllib.request"} == set()
