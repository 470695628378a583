"""Making `Callbacks`, and the public surface."""

from __future__ import annotations

import pytest

import kallback.sdk
from kallback.protocol import InvalidKeyError, Problem
from kallback.sdk import Callbacks, CompletionRefused, ConsumedMarks, NotifierService, TaskMonitor
from kallback.sdk.services.completion import encoded, encoded_problem
from kallback.settings import KeySettings, Settings

INSECURE = Settings(keys=KeySettings(insecure=True))


def test_the_public_surface_is_frozen() -> None:
    """Adding a name is a decision, removing one is a breaking change."""
    assert set(kallback.sdk.__all__) == {
        "UNSET",
        "Callbacks",
        "CompletionRefused",
        "ConsumedMarks",
        "InvalidResult",
        "NotifierService",
        "Problem",
        "Progress",
        "RetryPolicy",
        "StaleResult",
        "TaskAwakeable",
        "TaskCancelled",
        "TaskError",
        "TaskFailed",
        "TaskHandle",
        "TaskMonitor",
        "TaskNotSent",
        "TaskTimedOut",
        "TaskType",
        "UnknownTask",
        "Unset",
        "Verdict",
        "complete_awakeable",
        "reject_awakeable",
    }


def test_without_keys_nothing_starts() -> None:
    """A lost variable shows at import, not at the first task."""
    with pytest.raises(InvalidKeyError, match="KALLBACK_KEYS"):
        Callbacks(Settings())


def test_from_env_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables are the ones of the settings."""
    monkeypatch.setenv("KALLBACK_INSECURE", "1")
    assert Callbacks.from_env().services


def test_the_services_to_bind() -> None:
    """The same objects each time, so that binding them twice is seen by Restate."""
    callbacks = Callbacks(INSECURE)
    notifier, monitor, marks = services = callbacks.services
    assert isinstance(notifier, NotifierService)
    assert isinstance(monitor, TaskMonitor)
    assert isinstance(marks, ConsumedMarks)
    assert callbacks.services == services


async def test_a_block_starts_and_stops() -> None:
    """`async with` is for tests; no connection is made by it."""
    async with Callbacks(INSECURE) as callbacks:
        await callbacks.stop()


def test_a_value_without_json_form_is_refused() -> None:
    """Whatever an encoder raises, the handler gets a terminal error."""
    with pytest.raises(CompletionRefused, match="cannot encode"):
        encoded(object())


def test_a_problem_without_json_form_is_refused() -> None:
    """Extensions come from users."""
    with pytest.raises(CompletionRefused):
        encoded_problem(Problem(extensions={"dish": object()}))
