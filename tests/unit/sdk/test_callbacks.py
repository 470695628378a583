"""Making `Callbacks`, and the public surface."""

from __future__ import annotations

from typing import Any

import pytest
import restate
from restate.server_context import ServerInvocationContext

import kallback.sdk
from kallback.protocol import ConfigurationError, InvalidKeyError, Problem
from kallback.sdk import Callbacks, CompletionRefused, ConsumedMarks, NotifierService, TaskMonitor
from kallback.sdk.arguments import check_context
from kallback.sdk.journal_codec import checked_codec
from kallback.sdk.services.completion import encoded, encoded_problem
from kallback.settings import KeySettings, RestateSettings, Settings, Topics

INSECURE = Settings(keys=KeySettings(insecure=True))


def test_the_public_surface_is_frozen() -> None:
    """Adding a name is a decision, removing one is a breaking change."""
    assert set(kallback.sdk.__all__) == {
        "UNSET",
        "Callbacks",
        "CompletionRefused",
        "ConsumedMarks",
        "Convention",
        "InvalidResult",
        "MonitorUnavailable",
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


def test_services_have_the_names_of_their_environment() -> None:
    """Two teams on one Restate do not take each other's over."""
    team = Settings(topics=Topics(prefix="team-a."), keys=KeySettings(insecure=True))
    assert [service.name for service in Callbacks(team).services] == [
        "NotifierService.team-a.results",
        "TaskMonitor.team-a.results",
        "ConsumedMarks.team-a.results",
    ]


def test_the_old_names_are_bound_too_while_an_environment_is_upgraded() -> None:
    """Handlers that began before call them, and bridges of before do."""
    restate_settings = RestateSettings(old_service_names=True)
    team = Settings(restate=restate_settings, topics=Topics(prefix="team-a."), keys=KeySettings(insecure=True))
    names = [service.name for service in Callbacks(team).services]
    assert names[3:] == ["NotifierService", "TaskMonitor", "ConsumedMarks"]
    assert len(set(names)) == len(names)


def test_an_application_has_the_services_once() -> None:
    """They may be named among the user's own."""
    callbacks = Callbacks(INSECURE)
    assert callable(callbacks.app([restate.Service("orders")]))
    assert callable(callbacks.app(iter([restate.Service("orders"), *callbacks.services])))


class Reversed(restate.JournalValueCodec):
    """A codec."""

    def encode(self, buf: bytes) -> bytes:
        """What the journal keeps."""
        return buf[::-1]

    async def decode(self, buf: bytes) -> bytes:
        """What was encoded."""
        return buf[::-1]


def test_a_context_with_a_codec_that_bridges_may_not_have_is_refused() -> None:
    """As of an application of `restate.app`, which kallback does not see."""
    ctx: Any = object.__new__(ServerInvocationContext)
    ctx.journal_codec = Reversed()
    with pytest.raises(restate.TerminalError, match=r"serve it with callbacks.app\(\[...\], journal_value_codec"):
        check_context(ctx)
    check_context(ctx, has_codec=True)


def test_an_application_can_have_a_codec() -> None:
    """As with `restate.app`."""
    assert callable(Callbacks(INSECURE).app([restate.Service("orders")], journal_value_codec=Reversed()))


class Plain(restate.JournalValueCodec):
    """A codec whose `decode` cannot be awaited."""

    def encode(self, buf: bytes) -> bytes:
        """What the journal keeps."""
        return buf

    def decode(self, buf: bytes) -> bytes:  # type: ignore[override]
        """What was encoded."""
        return buf


async def build_plain() -> Plain:
    """As after a key was fetched."""
    return Plain()


async def build() -> Reversed:
    """Likewise."""
    return Reversed()


@pytest.mark.parametrize(("codec", "said"), [(Plain(), "write `async def decode`"), (object(), "is no codec")])
def test_a_codec_that_restate_could_not_use_is_refused_at_the_start(codec: Any, said: str) -> None:
    """Otherwise it fails at the first value, and the bridge says that its codec is another one."""
    with pytest.raises(ConfigurationError, match=f"journal_value_codec of callbacks.app.*{said}"):
        Callbacks(INSECURE).app([restate.Service("orders")], journal_value_codec=codec)


async def test_the_codec_of_a_provider_is_checked_when_it_is_built() -> None:
    """Restate's SDK builds it at the first invocation."""
    checked: Any = checked_codec(build_plain)
    with pytest.raises(ConfigurationError, match="write `async def decode`"):
        await checked()
    good: Any = checked_codec(build)
    assert isinstance(await good(), Reversed)


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
