"""Containers, as far as they can be looked at without an engine."""

from __future__ import annotations

import sys

import pytest

from kallback.testing import start_stack
from kallback.testing.containers import kafka, restate
from kallback.testing.errors import NoServerError


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("process.roles", "KAFKA_PROCESS_ROLES"),
        ("listener.name.x.scram-sha-512.sasl.jaas.config", "KAFKA_LISTENER_NAME_X_SCRAM___SHA___512_SASL_JAAS_CONFIG"),
        ("a_b.c", "KAFKA_A__B_C"),
    ],
)
def test_a_kafka_property_is_a_variable(name: str, variable: str) -> None:
    """By the image's own rules."""
    assert kafka.variable_of(name) == variable


def test_a_restate_setting_is_a_variable() -> None:
    """By the server's own rules."""
    assert restate.variable_of("worker.invoker.inactivity-timeout") == "RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT"


def test_without_an_engine_one_sentence_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what a skipped test shows."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with (
        pytest.raises(NoServerError, match=r"No Docker engine answers: start one \(Debian: apt install docker\.io"),
        start_stack(environ={"KALLBACK_TEST_SERVERS": "containers"}),
    ):
        pass


def test_a_missing_extra_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without testcontainers, the error is the command that installs it."""
    monkeypatch.setitem(sys.modules, "testcontainers.core.container", None)
    for name in [each for each in sys.modules if each.startswith("kallback.testing.containers")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r'pip install "kallback\[containers\]"'):
        import kallback.testing.containers  # noqa: F401, PLC0415 - the import is the test
