"""The options with which people look into a bridge."""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass, field

import pytest
from click.testing import CliRunner

from kallback.bridge import BridgeOptions
from kallback.cli.commands import bridge as command
from kallback.cli.observing import Observing
from kallback.protocol import MissingExtraError
from kallback.settings import Settings


class MadeBridge:
    """Takes what a bridge is made of."""

    def __init__(self, settings: Settings, options: BridgeOptions, *, dependencies: object, on_settled: object) -> None:
        del settings, options, dependencies
        self.on_settled = on_settled


@dataclass(frozen=True, slots=True)
class MadeHealthServer:
    """Takes what a health server is made of."""

    bridge: MadeBridge
    port: int
    host: str
    stuck_after: float


@dataclass(slots=True)
class Served:
    """What the command serves."""

    bridges: list[MadeBridge] = field(default_factory=list[MadeBridge])
    health: list[MadeHealthServer] = field(default_factory=list[MadeHealthServer])
    tracing: list[object] = field(default_factory=list[object])

    def serve(self, bridge: MadeBridge, *beside: object) -> None:
        """Take the place of `serve`."""
        self.bridges.append(bridge)
        for each in beside:
            if isinstance(each, MadeHealthServer):
                self.health.append(each)
            else:
                self.tracing.append(each)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    """A command that serves nothing."""
    found = Served()
    monkeypatch.setattr(command, "Bridge", MadeBridge)
    monkeypatch.setattr("kallback.bridge.HealthServer", MadeHealthServer, raising=False)
    monkeypatch.setattr(command, "serve", found.serve)
    return found


def run(*arguments: str) -> None:
    """Run `kallback bridge` with a key of the test's."""
    key = "k1:" + base64.b64encode(hashlib.sha256(b"one").digest()).decode()
    result = CliRunner().invoke(command.bridge, arguments, env={"KALLBACK_KEYS": key}, catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_collections_neither_search_the_modules_nor_come_with_each_fetch(served: Served) -> None:
    """They took a tenth of a bridge's CPU time; a full one held the event loop for half of what one record may take."""
    run()
    assert len(served.bridges) == 1
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] == 10_000
    assert gc.isenabled()


def test_nothing_is_open_unless_asked_for(served: Served) -> None:
    """Neither a port nor spans."""
    run()
    assert (len(served.bridges), served.health, served.tracing) == (1, [], [])
    assert served.bridges[0].on_settled is None


def test_a_health_port(served: Served) -> None:
    """On loopback, or at another address."""
    run("--health-port", "9464")
    run("--health-port", "9465", "--health-host", "0.0.0.0")
    assert [(each.host, each.port) for each in served.health] == [("127.0.0.1", 9464), ("0.0.0.0", 9465)]


def test_the_stuck_time_grows_with_the_request_timeout(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that may take two minutes does not make a bridge stuck after one."""
    monkeypatch.setenv("KALLBACK_RESTATE_REQUEST_TIMEOUT", "120")
    run("--health-port", "9464")
    assert served.health[0].stuck_after == 360


def test_tracing_is_told_of_every_record(served: Served) -> None:
    """Only with the option."""
    run("--otel")
    (tracing,) = served.tracing
    assert served.bridges[0].on_settled == getattr(tracing, "settled", "missing")


def test_a_missing_extra_is_a_command_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for every role."""
    for module in ("kallback.bridge.observability.tracing", "kallback.health.tracing"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    asked = Observing(health_port=None, health_host="127.0.0.1", otel=True)
    with pytest.raises(MissingExtraError, match=r"kallback\[otel\]"):
        command.serve_observed(Settings(), BridgeOptions(), asked)


def test_what_is_not_asked_for_is_not_imported() -> None:
    """Without the options, they cost neither memory nor start-up time."""
    code = (
        "import kallback.cli.commands.bridge, sys, json;"
        "roots = {name.partition('.')[0] for name in sys.modules};"
        "print(json.dumps(sorted(roots & {'prometheus_client', 'opentelemetry'})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(done.stdout) == []
