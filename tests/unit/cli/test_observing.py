"""The options with which people look into a bridge."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import subprocess
import sys
from collections.abc import Generator
from typing import Any

import pytest
from click.testing import CliRunner

from kallback.cli.commands import observing
from kallback.cli.commands.bridge import bridge
from kallback.cli.commands.observing import Observing, serve_observed
from kallback.protocol import MissingExtraError


@pytest.fixture(autouse=True)
def _logging_as_before() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, tuple[Any, ...]]]:
    """What would be served, and what beside it."""
    calls: list[tuple[Any, tuple[Any, ...]]] = []
    monkeypatch.setattr(observing, "serve", lambda service, *beside: calls.append((service, beside)))
    return calls


def run(*arguments: str) -> None:
    """`kallback bridge` with a key of the test's."""
    key = "k1:" + base64.b64encode(hashlib.sha256(b"one").digest()).decode()
    result = CliRunner().invoke(bridge, arguments, env={"KALLBACK_KEYS": key}, catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_nothing_is_open_unless_asked_for(served: list[Any]) -> None:
    """Neither a port nor spans."""
    run()
    ((service, beside),) = served
    assert beside == ()
    assert service._settler._on_settled is None


def test_a_health_port(served: list[Any]) -> None:
    """On loopback, or where people say."""
    run("--health-port", "9464")
    run("--health-port", "9465", "--health-host", "0.0.0.0")
    pages = [beside[0]._pages for _, beside in served]
    assert [(it._host, it._port) for it in pages] == [("127.0.0.1", 9464), ("0.0.0.0", 9465)]


def test_patience_grows_with_the_request_timeout(served: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that may take two minutes is no sign of death after one."""
    monkeypatch.setenv("KALLBACK_RESTATE_REQUEST_TIMEOUT", "120")
    run("--health-port", "9464")
    ((_, (health,)),) = served
    assert health._pulse._liveness._stuck_after == 360


def test_tracing_hears_of_every_record(served: list[Any]) -> None:
    """Only with the option."""
    run("--otel")
    ((service, (tracing,)),) = served
    assert service._settler._on_settled == tracing.settled


def test_a_missing_extra_is_a_command_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for every role."""
    monkeypatch.delitem(sys.modules, "kallback.bridge.observability.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    asked = Observing(health_port=None, health_host="127.0.0.1", otel=True)
    with pytest.raises(MissingExtraError, match=r"kallback\[otel\]"):
        serve_observed(None, None, asked)


def test_what_is_not_asked_for_is_not_imported() -> None:
    """A bridge that nobody looks into pays neither memory nor start-up for it."""
    code = (
        "import kallback.cli.commands.bridge, sys, json;"
        "roots = {name.partition('.')[0] for name in sys.modules};"
        "print(json.dumps(sorted(roots & {'prometheus_client', 'opentelemetry'})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(done.stdout) == []
