"""pytest loads the plugin wherever kallback is installed: that must cost nothing and need no extra."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kallback import testing


def test_the_plugin_loads_no_client() -> None:
    """Loading the plugin imports neither Kafka's nor Restate's nor HTTP packages."""
    code = (
        "import sys, kallback.testing.pytest_plugin\n"
        "heavy = {'confluent_kafka', 'aiokafka', 'restate', 'httpx', 'hypercorn', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "confluent_kafka" not in done.stdout
    assert set(eval(done.stdout)) <= {"asyncio"}


def test_every_public_name_can_be_loaded() -> None:
    """The list of names and their homes agree."""
    assert all(getattr(testing, name) is not None for name in testing.__all__)


def test_a_missing_extra_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the error is the command that installs it."""
    monkeypatch.setitem(sys.modules, "hypercorn.asyncio", None)
    for name in ("kallback.testing.clients.service_endpoint", "kallback.sdk.serving"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    with pytest.raises(ImportError, match=r'pip install "kallback\[service\]"'):
        _ = testing.serve_endpoint
