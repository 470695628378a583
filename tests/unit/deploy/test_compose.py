"""Containers of the Compose files have as long to stop as their roles need."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.unit.deploy.test_systemd import CLOSING_S, DRAINS

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("file", ["compose.yaml", "examples/starter/compose.yaml"])
def test_a_worker_has_time_for_its_drain(file: str) -> None:
    """And for what is closed after it: the child processes, the results on their way."""
    services = yaml.safe_load((ROOT / file).read_text("utf-8"))["services"]
    workers = [each for each in services.values() if "worker" in (each.get("command") or [])[:1]]
    assert workers
    for each in workers:
        seconds = int(each["stop_grace_period"].removesuffix("s"))
        assert seconds >= DRAINS["worker"] + CLOSING_S
