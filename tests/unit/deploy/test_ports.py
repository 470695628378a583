"""The Compose file publishes ports for this machine alone."""

from __future__ import annotations

from pathlib import Path

import yaml

COMPOSE = Path(__file__).parents[3] / "compose.yaml"


def test_compose_publishes_on_the_loopback_only() -> None:
    """Restate's ingress and admin ports can complete and change everything, and Kafka has no password there."""
    services = yaml.safe_load(COMPOSE.read_text())["services"].values()
    ports = [port for service in services for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
