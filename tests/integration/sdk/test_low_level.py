"""Restate's own way: make an awakeable, send its id or token in any way, complete it from somewhere else."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta
from typing import Any

import pytest
import restate
from tests.integration.sdk.environment import Prepared, SdkEnv

from kallback.protocol import Completed, Keyring, Problem, seal
from kallback.sdk import complete_awakeable, reject_awakeable

pytestmark = pytest.mark.integration

RESERVED = "sign_1" + base64.urlsafe_b64encode(bytes(24) + (1).to_bytes(4, "big")).decode().rstrip("=")


async def trying(env: SdkEnv, action: Any) -> dict[str, Any]:
    """What another service gets that completes something."""

    async def matcher(ctx: restate.Context) -> dict[str, Any]:
        async def act() -> None:
            action(ctx)

        return await env.outcome(act())

    async with env.invoked(matcher) as invocation, asyncio.timeout(60):
        got: dict[str, Any] = await invocation.result()
    return got


@pytest.mark.parametrize(
    ("payload", "arrives"),
    [
        ({"driver": "sam"}, {"driver": "sam"}),
        (None, None),
        ("", ""),
        ([1, 1.5, 10**18, "é"], [1, 1.5, 10**18, "é"]),
        (timedelta(seconds=1), "PT1S"),
    ],
)
async def test_another_service_completes_a_plain_awakeable(env: SdkEnv, payload: Any, arrives: Any) -> None:
    """`complete_awakeable` resolves what plain `ctx.awakeable()` made: JSON both ways, also empty."""
    ids: asyncio.Queue[str] = asyncio.Queue()

    async def waiting(ctx: restate.Context) -> list[Any]:
        name, future = ctx.awakeable(type_hint=object)
        ids.put_nowait(name)
        return [await future]

    async with env.invoked(waiting) as invocation:
        name = await asyncio.wait_for(ids.get(), 60)
        assert await trying(env, lambda ctx: complete_awakeable(ctx, name, payload)) == {"value": None}
        assert await invocation.result() == [arrives]


async def test_another_service_rejects_a_plain_awakeable(env: SdkEnv) -> None:
    """`reject_awakeable` keeps the code, which the HTTP ingress cannot."""
    ids: asyncio.Queue[str] = asyncio.Queue()

    async def waiting(ctx: restate.Context) -> dict[str, Any]:
        name, future = ctx.awakeable(type_hint=object)
        ids.put_nowait(name)
        return await env.outcome(future)

    async with env.invoked(waiting) as invocation:
        name = await asyncio.wait_for(ids.get(), 60)
        await trying(env, lambda ctx: reject_awakeable(ctx, name, "no driver", 404))
        got = await invocation.result()
    assert (got["code"], got["message"]) == (404, "no driver")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [("", "invalid-awakeable-id"), ("garbage", "invalid-awakeable-id"), (RESERVED, "reserved-signal")],
    ids=["empty", "garbage", "reserved"],
)
async def test_a_bad_id_is_refused_at_once(env: SdkEnv, bad: str, reason: str) -> None:
    """What Restate would retry for ever, or take for a cancellation, is a terminal error."""
    for action in (complete_awakeable, lambda ctx, text: reject_awakeable(ctx, text, "no")):
        got = await trying(env, lambda ctx, action=action: action(ctx, bad))
        assert (got["kind"], got["code"]) == ("CompletionRefused", 400)
        assert got["metadata"] == {"kallback-reason": reason}


async def test_a_payload_without_json_form_is_refused_at_once(env: SdkEnv) -> None:
    """A payload that cannot be encoded is terminal."""
    name = "sign_1" + base64.urlsafe_b64encode(bytes(24) + (17).to_bytes(4, "big")).decode().rstrip("=")
    got = await trying(env, lambda ctx: complete_awakeable(ctx, name, object()))
    assert got["metadata"] == {"kallback-reason": "unencodable-value"}


async def test_a_token_completes_the_typed_awakeable(env: SdkEnv) -> None:
    """`callbacks.complete` in another service: the waiting handler gets the declared type, without Kafka."""
    tokens: asyncio.Queue[str] = asyncio.Queue()

    async def waiting(ctx: restate.Context) -> list[str]:
        awakeable = await env.callbacks.awakeable(ctx, env.prepare)
        tokens.put_nowait(awakeable.token)
        prepared = await awakeable.result()
        return [type(prepared).__name__, prepared.shelf]

    async with env.invoked(waiting) as invocation:
        token = await asyncio.wait_for(tokens.get(), 60)
        done = await trying(env, lambda ctx: env.callbacks.complete(ctx, token, Prepared("B3")))
        assert done == {"value": None}
        assert await invocation.result() == ["Prepared", "B3"]


async def test_a_token_fails_the_typed_awakeable(env: SdkEnv) -> None:
    """`callbacks.fail` in another service: the waiting handler gets the typed error."""
    tokens: asyncio.Queue[str] = asyncio.Queue()

    async def waiting(ctx: restate.Context) -> dict[str, Any]:
        awakeable = await env.callbacks.awakeable(ctx, env.prepare)
        tokens.put_nowait(awakeable.token)
        return await env.outcome(awakeable.result())

    async with env.invoked(waiting) as invocation:
        token = await asyncio.wait_for(tokens.get(), 60)
        await trying(env, lambda ctx: env.callbacks.fail(ctx, token, Problem("OutOfStock", 422, "no basil")))
        got = await invocation.result()
    assert (got["kind"], got["code"], got["type"]) == ("TaskFailed", 422, "OutOfStock")


async def test_a_forged_token_is_refused_at_once(env: SdkEnv) -> None:
    """A token that does not verify is terminal, with the reason as metadata."""
    got = await trying(env, lambda ctx: env.callbacks.complete(ctx, "kb1:forged", 1))
    assert (got["kind"], got["metadata"]) == ("CompletionRefused", {"kallback-reason": "malformed-token"})


async def test_the_awakeable_hands_out_what_to_send(env: SdkEnv) -> None:
    """id, token, task id and headers belong together, and the posted envelope of the token completes it."""
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def waiting(ctx: restate.Context) -> str:
        awakeable = await env.callbacks.awakeable(ctx, env.prepare)
        sent.put_nowait({"id": awakeable.id, "task": awakeable.task_id, **awakeable.headers})
        return (await awakeable.future).shelf

    async with env.invoked(waiting) as invocation:
        got = await asyncio.wait_for(sent.get(), 60)
        token = Keyring.insecure().verify(got["kallback-token"], env.settings.topics.results)
        assert (token.awakeable_id, token.task_id) == (got["id"], got["task"])
        assert got["kallback-task-id"] == got["task"]
        await env.post_to(got["id"], seal(token.task_id, token.attempt, Completed(b'{"shelf": "B3"}')))
        assert await invocation.result() == "B3"


async def test_the_awakeable_times_out(env: SdkEnv) -> None:
    """Its `result()` knows the deadline; nobody is told, because nothing was published."""

    async def waiting(ctx: restate.Context) -> list[dict[str, Any]]:
        awakeable = await env.callbacks.awakeable(ctx, env.prepare, timeout=timedelta(seconds=0.2))
        return [await env.outcome(awakeable.result()), await env.outcome(awakeable.result())]

    async with env.invoked(waiting) as invocation:
        first, second = await invocation.result()
    assert first["kind"] == "TaskTimedOut"
    assert first == second
