"""How a task stands, for whoever asks; and who may tell."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import restate
from click.testing import CliRunner
from tests.integration.sdk.environment import Order, SdkEnv
from tests.integration.sdk.long_tasks.bridge import SimulatedBridge

from kallback.cli.tasks.commands import tasks
from kallback.cli.tasks.progress import UnknownTaskError
from kallback.protocol import Attempt, AwakeableId, Heard, Keyring, Signal, TaskHeaders, TaskId, Token
from kallback.testing import RestateError, eventually

pytestmark = pytest.mark.integration

BEAT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Done:
    """Heartbeat details."""

    percent: int


def waiting(env: SdkEnv) -> Any:
    """A handler that waits for a dish whose cook reports."""
    kind = env.limited(heartbeat_every=BEAT)

    async def run(ctx: restate.Context) -> str:
        return (await env.callbacks.call(ctx, kind, Order("x"))).shelf

    return run


def asking(env: SdkEnv) -> Any:
    """A handler that asks how a task stands."""

    async def ask(ctx: restate.Context, task_id: str) -> dict[str, Any]:
        try:
            progress = await env.callbacks.progress(ctx, task_id)
        except restate.TerminalError as error:
            return {"error": type(error).__name__, "code": error.status_code, "message": error.message}
        return {
            "attempt": progress.attempt,
            "started": progress.started is not None,
            "details": progress.details,
            "percent": progress.details_as(Done).percent if progress.details else None,
            "age": (datetime.now(UTC) - progress.dispatched).total_seconds(),
        }

    return ask


def id_of(task: Any) -> Any:
    """The task id of a record."""
    return TaskHeaders.decode(task.headers).task_id


async def test_another_handler_sees_how_a_task_stands(env: SdkEnv, bridge: SimulatedBridge) -> None:
    """While the first one waits: not started, then started with the last details."""
    async with env.serving(waiting(env), asking(env)) as service:
        invocation = await env.ingress.send(f"{service}/run")
        task = await env.task()
        before = await env.ingress.call(f"{service}/ask", id_of(task))
        await bridge.hears(task, Signal.STARTED)
        await bridge.hears(task, details=b'{"percent": 40}')

        async def heard() -> Any:
            got = await env.ingress.call(f"{service}/ask", id_of(task))
            return got if got["details"] else None

        after = await eventually("details", heard)
        await env.complete(task, b'{"shelf": "B3"}')
        await env.ingress.attach(invocation)
    assert (before["attempt"], before["started"], before["details"]) == (1, False, None)
    assert (after["started"], after["details"], after["percent"]) == (True, {"percent": 40}, 40)
    assert 0 <= after["age"] < 20


async def test_an_unknown_task_is_a_typed_error(env: SdkEnv) -> None:
    """It never was, or has ended."""
    async with env.serving(asking(env)) as service:
        got = await env.ingress.call(f"{service}/ask", "AAAAAAAAAAAAAAAA")
    assert (got["error"], got["code"]) == ("UnknownTask", 404)
    assert "no task AAAAAAAAAAAAAAAA is watched" in got["message"]


async def test_anybody_who_reaches_the_ingress_can_ask(env: SdkEnv, bridge: SimulatedBridge) -> None:
    """`POST /TaskMonitor/{id}/read`; after the end it is 404."""
    async with env.invoked(waiting(env)) as invocation:
        task = await env.task()
        path = f"{env.services.monitor}/{id_of(task)}/read"
        got = await env.ingress.call(path)
        assert (got["task_id"], got["task_type"], got["attempt"]) == (id_of(task), env.prepare.name, 1)
        await env.complete(task, b'{"shelf": "B3"}')
        await invocation.result()
        await bridge.gone(id_of(task))
        with pytest.raises(RestateError) as caught:
            await env.ingress.call(path)
    assert caught.value.status == 404


@pytest.mark.parametrize("handler", ["watch", "watch_many", "alarm", "confirm", "finish"])
async def test_what_only_services_may_do_is_private(env: SdkEnv, handler: str) -> None:
    """Nobody ends the watch over a task from outside."""
    async with env.serving(asking(env)):
        with pytest.raises(RestateError) as caught:
            await env.ingress.call(f"{env.services.monitor}/AAAAAAAAAAAAAAAA/{handler}", {})
    assert caught.value.status == 400


@pytest.mark.parametrize("token", ["forged", "another task's"])
async def test_a_sign_of_life_must_be_proven(env: SdkEnv, bridge: SimulatedBridge, token: str) -> None:
    """With the token of that very task; otherwise nothing is written."""
    async with env.invoked(waiting(env)) as invocation:
        task = await env.task()
        own = TaskHeaders.decode(task.headers).token
        other = Token(env.prepare.name, TaskId("A" * 16), Attempt(1), AwakeableId(env.awakeable_of(task)), 0)
        tokens = {
            "forged": own[:-3] + "AAA",
            "another task's": Keyring.insecure().sign(other, env.settings.keys.audience),
        }
        heard = Heard(tokens[token], Signal.STARTED, 1, 1)
        with pytest.raises(AssertionError):
            await bridge.post(f"{env.services.monitor}/{id_of(task)}/progress", heard)
        assert "started_ms" not in await env.ingress.call(f"{env.services.monitor}/{id_of(task)}/read")
        await env.complete(task, b'{"shelf": "B3"}')
        await invocation.result()


async def test_a_sign_of_life_of_no_known_task_leaves_nothing(env: SdkEnv, bridge: SimulatedBridge) -> None:
    """It came after the end: no state is made of it."""
    async with env.invoked(waiting(env)) as invocation:
        task = await env.task()
        await env.complete(task, b'{"shelf": "B3"}')
        await invocation.result()
        await bridge.gone(id_of(task))
        await bridge.post(
            f"{env.services.monitor}/{id_of(task)}/progress",
            Heard(TaskHeaders.decode(task.headers).token, Signal.HEARTBEAT, bridge.now_ms(), bridge.now_ms()),
        )
        assert not await bridge.state(id_of(task))


async def test_the_command_says_how_a_task_stands(env: SdkEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """`kallback tasks progress ID`, against a real Restate; after the end it says that it knows of none."""
    monkeypatch.setenv("KALLBACK_RESTATE_INGRESS_URL", env.stack.ingress_url)
    monkeypatch.setenv("KALLBACK_AUDIENCE", env.settings.keys.audience)
    async with env.invoked(waiting(env)) as invocation:
        task = await env.task()
        shown = await asyncio.to_thread(CliRunner().invoke, tasks, ["progress", id_of(task), "--json"])
        unknown = await asyncio.to_thread(CliRunner().invoke, tasks, ["progress", "AAAAAAAAAAAAAAAA"])
        await env.complete(task, b'{"shelf": "B3"}')
        await invocation.result()
    assert (shown.exit_code, json.loads(shown.stdout)["type"]) == (0, env.prepare.name)
    assert isinstance(unknown.exception, UnknownTaskError)
