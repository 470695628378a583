"""What ends a process waits longer than a stop may take, so that a frozen Kafka is no reason to kill one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kallback.bridge import BridgeOptions, bridge
from kallback.workers import WorkerOptions, runtime

ROOT = Path(__file__).parents[3]
LONGEST = {
    "bridge": BridgeOptions().drain_timeout + bridge._STOP_TIMEOUT_S,
    "worker": WorkerOptions().drain_timeout + WorkerOptions().cancel_grace + runtime._STOP_TIMEOUT_S,
}
"""Seconds from SIGTERM to the end, with the default options."""


def _manifests(role: str) -> list[float]:
    pod: Any = yaml.safe_load((ROOT / "deploy" / "kubernetes" / f"{role}.yaml").read_text().split("---")[0])
    return [pod["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]]


def _compose(role: str) -> list[float]:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    commands = [(str((each.get("command") or [""])[0]), each.get("stop_grace_period")) for each in services]
    return [float(grace.removesuffix("s")) for command, grace in commands if command == role]


def _units(role: str) -> list[float]:
    units = re.findall(r"^\[Service\]$.*?^```$", (ROOT / "docs" / "deploy.md").read_text(), re.MULTILINE | re.DOTALL)
    chosen = [each for each in units if f"bin/kallback {role} " in each]
    return [float(seconds) for each in chosen for seconds in re.findall(r"^TimeoutStopSec=(\d+)$", each, re.MULTILINE)]


@pytest.mark.parametrize("waits", [_manifests, _compose, _units])
@pytest.mark.parametrize("role", list(LONGEST))
def test_a_process_ends_before_it_is_killed(role: str, waits: Any) -> None:
    """In Kubernetes, with Compose and under systemd."""
    found = waits(role)
    assert found
    assert min(found) > LONGEST[role]
