"""How often a call is begun before Restate is said not to know the service."""

from __future__ import annotations

from datetime import timedelta

import pytest
import restate

from kallback.protocol import TaskType
from kallback.sdk.monitoring import unknown_service
from kallback.sdk.monitoring.unknown_service import CallTries
from kallback.testing import HandlerTest

RENDER = TaskType("render", request=str, result=str, timeout=timedelta(hours=1), heartbeat_every=timedelta(seconds=10))


def test_a_call_that_is_begun_again_and_again_never_succeeds() -> None:
    """Four tries over four seconds: neither a quick series nor a long pause is enough."""
    now = [0.0]
    tries = CallTries(lambda: now[0])

    assert [tries.begin("quick") for _ in range(10)] == [False] * 10
    seen = list[bool]()
    for at in (0.0, 0.7, 1.9, 4.3):
        now[0] = at
        seen.append(tries.begin("slow"))
    assert seen == [False, False, False, True]
    assert not tries.begin("another")


def test_what_another_process_gave_up_is_given_up_here() -> None:
    """The journal says so."""
    tries = CallTries(lambda: 0.0)
    tries.give_up("call")
    assert tries.is_given_up("call")
    assert tries.begin("call")
    assert not tries.is_given_up("another")


def test_a_call_that_is_in_the_journal_starts_anew() -> None:
    """It succeeded once, so Restate knows the service."""
    now = [0.0]
    tries = CallTries(lambda: now[0])
    for _ in range(4):
        tries.begin("call")
    now[0] = 10.0
    tries.forget("call")

    assert not tries.begin("call")


async def test_a_handler_may_read_the_same_status_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every two seconds, without a replay between: each is another call, and none is a repeated try."""
    now = [0.0]
    monkeypatch.setattr(unknown_service, "_tries", CallTries(lambda: now[0]))

    async def handler(ctx: restate.Context) -> list[int]:
        handle = await test.callbacks.start(ctx, RENDER, "clip")
        attempts = list[int]()
        for _ in range(6):
            attempts.append((await test.callbacks.progress(ctx, handle.task_id)).attempt)
            now[0] += 2
        await handle.result()
        return attempts

    async with HandlerTest() as test:
        test.worker.on(RENDER).completes("done", after=timedelta(minutes=1))
        assert await test.run(handler) == [1] * 6
