"""Every command with every extra: it runs, or it ends in a sentence that says what to install."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import click
import msgspec
import pytest

from kallback.cli.app import app

PACKAGES: Final = {
    "sdk": {"restate", "confluent_kafka"},
    "service": {"restate", "confluent_kafka", "hypercorn", "h2"},
    "workers": {"aiokafka", "prometheus_client"},
    "bridge": {"aiokafka", "confluent_kafka", "prometheus_client", "hpack", "httptools"},
    "gateway": {"aiokafka", "confluent_kafka", "prometheus_client", "hpack", "httptools", "h11"},
    "console": {"aiokafka", "confluent_kafka", "prometheus_client", "hpack", "httptools", "h11"},
    "contracts": {"yaml"},
    "otel": {"opentelemetry"},
    "none": set[str](),
}
"""Import names of what each extra installs."""
OPTIONAL: Final = sorted({*set[str]().union(*PACKAGES.values()), "httpx", "testcontainers"})

TOKEN: Final = "kb1:k1:shop.pack:MTExMTExMTExMTEx:1:sign_1Aud7hsqsnEFJWhywH06JmTmTJNSRLgflAAAAEQ:0:AAAA"
RUNS: Final = [
    ["bridge", "--insecure"],
    ["bridge", "--insecure", "--client", "aiokafka"],
    ["bridge", "--insecure", "--health-port", "0"],
    ["bridge", "--insecure", "--otel"],
    ["completion", "bash"],
    ["contract", "check", "contract.yaml", "worker_module:worker"],
    ["contract", "diff", "contract.yaml", "contract.yaml"],
    ["contract", "export", "worker_module"],
    ["complete", TOKEN, "--insecure"],
    ["dead-letters", "list"],
    ["dead-letters", "replay", "0:1", "--yes"],
    ["dead-letters", "show", "0:1"],
    ["dev"],
    ["fail", TOKEN, "--insecure"],
    ["gateway", "--insecure"],
    ["gateway", "--insecure", "--client", "aiokafka", "--health-port", "0"],
    ["console", "--host", "0.0.0.0"],
    ["doctor"],
    ["new", "print-shop"],
    ["outcomes", "tail"],
    ["outcomes", "list"],
    ["workers", "list"],
    ["service", "handler_module:app"],
    ["tasks", "cancel", "q8Tzl0b2R6m1cV9x", "--why", "x"],
    ["tasks", "complete", "q8Tzl0b2R6m1cV9x", "--why", "x"],
    ["tasks", "fail", "q8Tzl0b2R6m1cV9x", "--why", "x"],
    ["tasks", "link", "q8Tzl0b2R6m1cV9x", "--token"],
    ["tasks", "list"],
    ["tasks", "progress", "q8Tzl0b2R6m1cV9x"],
    ["tasks", "retry", "q8Tzl0b2R6m1cV9x", "--why", "x"],
    ["tasks", "show", "q8Tzl0b2R6m1cV9x"],
    ["token", "inspect", TOKEN],
    ["topics", "check"],
    ["topics", "create"],
    ["topics", "create", "--dry-run"],
    ["version"],
    ["wire", "check", "shop.pack"],
    ["worker", "worker_module:worker"],
    ["worker", "worker_module:worker", "--client", "confluent"],
    ["worker", "worker_module:worker", "--health-port", "0"],
]
STARTED: Final = {"service": {"service", "dev"}} | {extra: {"dev"} for extra in ("sdk", "bridge", "gateway", "console")}
"""Commands that would really serve, or start servers, with an extra."""
SCRIPT: Final = """
import json, sys
blocked, runs = json.loads(sys.argv[1]), json.loads(sys.argv[2])
sys.modules.update(dict.fromkeys(blocked))
from click.testing import CliRunner
from kallback.cli.app import app
from kallback.protocol import KallbackError
for arguments in runs:
    result = CliRunner().invoke(app, arguments)
    error = result.exception
    ended = error is None or isinstance(error, (KallbackError, SystemExit))
    print(json.dumps({"run": " ".join(arguments), "ended": ended, "said": f"{type(error).__name__}: {error}"}))
"""
WORKER: Final = """
from kallback.protocol import TaskType
from kallback.workers import Worker

worker = Worker("kitchen")


@worker.task(TaskType("shop.pack", request=str, result=str))
async def pack(order: str) -> str:
    return order
"""
HANDLER: Final = """
import restate

app = restate.app([])
"""


class Ended(msgspec.Struct):
    """How a run of the command ended."""

    run: str
    ended: bool
    said: str


def run_all(folder: Path, extra: str, runs: list[list[str]]) -> list[Ended]:
    """Run commands in a process in which only one extra can be imported; no server answers."""
    (folder / "worker_module.py").write_text(WORKER)
    (folder / "handler_module.py").write_text(HANDLER)
    (folder / "contract.yaml").write_text("x-kallback-contract: 1\noperations: {}\n")
    blocked = [package for package in OPTIONAL if package not in PACKAGES[extra]]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(blocked), json.dumps(runs)],
        cwd=folder,
        env={
            "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
            "KALLBACK_KAFKA_CONNECT_TIMEOUT": "0.1",
            "KALLBACK_RESTATE_INGRESS_URL": "http://127.0.0.1:9",
            "KALLBACK_RESTATE_ADMIN_URL": "http://127.0.0.1:9",
        },
        stdout=subprocess.PIPE,
        check=True,
        timeout=100,
    )
    return [msgspec.json.decode(line, type=Ended) for line in done.stdout.splitlines()]


def test_every_command_is_run() -> None:
    """Also those of groups."""
    context = click.Context(app)
    found: list[list[str]] = []
    for name in app.list_commands(context):
        command = app.get_command(context, name)
        names = list(command.commands) if isinstance(command, click.Group) else [""]
        found += [[name, *filter(None, [each])] for each in names]
    assert [each for each in found if not any(run[: len(each)] == each for run in RUNS)] == []


@pytest.mark.parametrize("extra", PACKAGES)
def test_a_command_without_its_extra_ends_in_a_sentence(extra: str, tmp_path: Path) -> None:
    """Whatever is installed, no run ends in a traceback."""
    runs = [run for run in RUNS if run[0] not in STARTED.get(extra, set())]
    ended = run_all(tmp_path, extra, runs)
    assert [each for each in ended if not each.ended] == []
    assert len(ended) == len(runs)


@pytest.mark.parametrize(
    ("extra", "run", "sentence"),
    [
        ("workers", ["bridge", "--help"], 'pip install "kallback[bridge]"'),
        ("bridge", ["gateway", "--insecure"], 'pip install "kallback[gateway]"'),
        ("workers", ["console", "--help"], 'pip install "kallback[console]"'),
        ("workers", ["gateway", "--help"], 'pip install "kallback[gateway]"'),
        ("workers", ["complete", "--help"], 'pip install "kallback[bridge]"'),
        ("workers", ["tasks", "progress", "x"], 'pip install "kallback[bridge]"'),
        ("workers", ["tasks", "list"], "this needs the extra bridge (hpack is not installed): pip install"),
        ("workers", ["topics", "create"], "pip install"),
        ("workers", ["service", "handler_module:app"], 'pip install "kallback[service]"'),
        ("sdk", ["worker", "worker_module:worker"], 'pip install "kallback[workers]"'),
        ("bridge", ["bridge", "--insecure", "--otel"], 'pip install "kallback[otel]"'),
        ("workers", ["worker", "worker_module:worker", "--otel"], 'pip install "kallback[otel]"'),
        ("sdk", ["service", "handler_module:app"], 'pip install "kallback[service]"'),
        ("workers", ["contract", "export", "worker_module"], 'pip install "kallback[contracts]"'),
        ("none", ["dev"], "pip install"),
    ],
)
def test_the_sentence_is_the_command_to_type(extra: str, run: list[str], sentence: str, tmp_path: Path) -> None:
    """The extra of the command, whichever package is missing."""
    (ended,) = run_all(tmp_path, extra, [run])
    assert (ended.ended, sentence in ended.said) == (True, True), ended.said


@pytest.mark.parametrize(
    "run", [["--help"], ["version"], ["token", "--help"], ["topics", "--help"], ["contract", "export", "--help"]]
)
def test_some_commands_need_no_extra(run: list[str], tmp_path: Path) -> None:
    """Help, versions and tokens."""
    (ended,) = run_all(tmp_path, "none", [run])
    assert ended.said == "NoneType: None"
