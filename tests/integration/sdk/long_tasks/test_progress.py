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

from kallback.cli.commands.tasks import UnknownTaskError, tasks
from kallback.protocol import Attempt, Heard, Keyring, Signal, TaskHeaders, TaskId, Token
from kallback.testing import RestateError, eventually

pytestmark = pytest.mark.integration

BEAT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Done:
    """Heartbeat details."""

    percent: int


def waiting(world: Any) -> Any:
    """A handler that waits for a dish whose cook reports."""
    kind = world.kind(heartbeat_every=BEAT)

    async def run(ctx: restate.Context) -> str:
        return (await world.callbacks.call(ctx, kind, world.Order("x"))).shelf

    return run


def asking(world: Any) -> Any:
    """A handler that asks how a task stands."""

    async def ask(ctx: restate.Context, task_id: str) -> dict[str, Any]:
        try:
            progress = await world.callbacks.progress(ctx, task_id)
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


async def test_another_handler_sees_how_a_task_stands(world: Any, bridge: Any) -> None:
    """While the first one waits: not started, then started with the last details."""
    async with world.serving(waiting(world), asking(world)) as service:
        invocation = await world.ingress.send(f"{service}/run")
        task = await world.task()
        before = await world.ingress.call(f"{service}/ask", id_of(task))
        await bridge.hears(task, Signal.STARTED)
        await bridge.hears(task, details=b'{"percent": 40}')

        async def heard() -> Any:
            got = await world.ingress.call(f"{service}/ask", id_of(task))
            return got if got["details"] else None

        after = await eventually("details", heard)
        await world.complete(task, b'{"shelf": "B3"}')
        await world.ingress.attach(invocation)
    assert (before["attempt"], before["started"], before["details"]) == (1, False, None)
    assert (after["started"], after["details"], after["percent"]) == (True, {"percent": 40}, 40)
    assert 0 <= after["age"] < 20


async def test_an_unknown_task_is_a_typed_error(world: Any) -> None:
    """It never was, or has ended."""
    async with world.serving(asking(world)) as service:
        got = await world.ingress.call(f"{service}/ask", "AAAAAAAAAAAAAAAA")
    assert (got["error"], got["code"]) == ("UnknownTask", 404)
    assert "no task AAAAAAAAAAAAAAAA is watched" in got["message"]


async def test_anybody_who_reaches_the_ingress_can_ask(world: Any, bridge: Any) -> None:
    """`POST /TaskMonitor/{id}/read`; after the end it is 404."""
    async with world.invoked(waiting(world)) as invocation:
        task = await world.task()
        path = f"TaskMonitor/{id_of(task)}/read"
        got = await world.ingress.call(path)
        assert (got["task_id"], got["task_type"], got["attempt"]) == (id_of(task), world.prepare.name, 1)
        await world.complete(task, b'{"shelf": "B3"}')
        await invocation.result()
        await bridge.gone(id_of(task))
        with pytest.raises(RestateError) as caught:
            await world.ingress.call(path)
    assert caught.value.status == 404


@pytest.mark.parametrize("handler", ["watch", "alarm", "confirm", "finish"])
async def test_what_only_services_may_do_is_private(world: Any, handler: str) -> None:
    """Nobody ends the watch over a task from outside."""
    async with world.serving(asking(world)):
        with pytest.raises(RestateError) as caught:
            await world.ingress.call(f"TaskMonitor/AAAAAAAAAAAAAAAA/{handler}", {})
    assert caught.value.status == 400


@pytest.mark.parametrize("token", ["forged", "another task's"])
async def test_a_sign_of_life_must_be_proven(world: Any, bridge: Any, token: str) -> None:
    """With the token of that very task; otherwise nothing is written."""
    async with world.invoked(waiting(world)) as invocation:
        task = await world.task()
        own = TaskHeaders.decode(task.headers).token
        other = Token(world.prepare.name, TaskId("A" * 16), Attempt(1), world.awakeable_of(task), 0)
        tokens = {
            "forged": own[:-3] + "AAA",
            "another task's": Keyring.insecure().sign(other, world.settings.keys.audience),
        }
        heard = Heard(tokens[token], Signal.STARTED, 1, 1)
        with pytest.raises(AssertionError):
            await bridge.post(f"TaskMonitor/{id_of(task)}/progress", heard)
        assert "started_ms" not in await world.ingress.call(f"TaskMonitor/{id_of(task)}/read")
        await world.complete(task, b'{"shelf": "B3"}')
        await invocation.result()


async def test_a_sign_of_life_of_no_known_task_leaves_nothing(world: Any, bridge: Any) -> None:
    """It came after the end: no state is made of it."""
    async with world.invoked(waiting(world)) as invocation:
        task = await world.task()
        await world.complete(task, b'{"shelf": "B3"}')
        await invocation.result()
        await bridge.gone(id_of(task))
        await bridge.post(
            f"TaskMonitor/{id_of(task)}/progress",
            Heard(TaskHeaders.decode(task.headers).token, Signal.HEARTBEAT, bridge.now_ms(), bridge.now_ms()),
        )
        assert not await bridge.state(id_of(task))


async def test_the_command_says_how_a_task_stands(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`kallback tasks progress ID`, against a real Restate; after the end it says that it knows of none."""
    monkeypatch.setenv("KALLBACK_RESTATE_INGRESS_URL", world.stack.ingress_url)
    async with world.invoked(waiting(world)) as invocation:
        task = await world.task()
        shown = await asyncio.to_thread(CliRunner().invoke, tasks, ["progress", id_of(task), "--json"])
        unknown = await asyncio.to_thread(CliRunner().invoke, tasks, ["progress", "AAAAAAAAAAAAAAAA"])
        await world.complete(task, b'{"shelf": "B3"}')
        await invocation.result()
    assert (shown.exit_code, json.loads(shown.stdout)["task_type"]) == (0, world.prepare.name)
    assert isinstance(unknown.exception, UnknownTaskError)
