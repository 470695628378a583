"""A type with heartbeats in a Restate that does not know `TaskMonitor`: a terminal error that names the remedy."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Literal
from uuid import uuid4

import pytest
import restate
from tests.integration.sdk.environment import EnvFactory, Order

from kallback.sdk import TaskNotSent
from kallback.sdk.monitoring import unknown_service
from kallback.settings import Settings
from kallback.testing import RestateError, serve_endpoint

pytestmark = pytest.mark.integration

SOON = restate.InvocationRetryPolicy(max_interval=timedelta(seconds=2))


@pytest.mark.parametrize("protocol", ["bidi", "request_response"])
async def test_it_ends_within_half_a_minute(
    make_env: EnvFactory,
    own_topics: Settings,
    caplog: pytest.LogCaptureFixture,
    protocol: Literal["bidi", "request_response"],
) -> None:
    """Also where the handler says that another deployment serves it, and none does; the log says so once for each."""
    unbound = replace(own_topics, keys=replace(own_topics.keys, audience=uuid4().hex))
    service = restate.Service(f"Unbound{uuid4().hex[:8]}")
    async with make_env(settings=unbound, services_elsewhere=True) as env:

        @service.handler()
        async def one(ctx: restate.Context) -> None:
            await env.callbacks.call(ctx, env.limited(heartbeat_every=timedelta(seconds=1)), Order("soup"))

        @service.handler()
        async def many(ctx: restate.Context) -> None:
            handles = await env.callbacks.start_many(
                ctx, env.limited(start_timeout=timedelta(seconds=1)), [Order("a"), Order("b")]
            )
            await env.callbacks.gather(handles)

        async with serve_endpoint(restate.app([service], protocol), env.stack.restate), asyncio.timeout(60):
            calls = [env.ingress.call(f"{service.name}/{name}") for name in ("one", "many")]
            for answer in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(answer, RestateError)
                assert "callbacks.app([...])" in str(answer)
    assert caplog.text.count("goes on without it") == 2


@pytest.mark.parametrize("process", ["the same", "another"])
async def test_the_handler_compensates(
    make_env: EnvFactory, own_topics: Settings, monkeypatch: pytest.MonkeyPatch, process: str
) -> None:
    """It catches the error, journals its compensation, and a replay in any process comes the same way."""
    unbound = replace(own_topics, keys=replace(own_topics.keys, audience=uuid4().hex))
    service = restate.Service(f"Unbound{uuid4().hex[:8]}", invocation_retry_policy=SOON)
    refunds, ends = list[str](), list[str]()
    async with make_env(settings=unbound, services_elsewhere=True) as env:

        @service.handler()
        async def order(ctx: restate.Context) -> str:
            async def refund() -> str:
                refunds.append("refund")
                return "refunded"

            try:
                await env.callbacks.call(ctx, env.limited(heartbeat_every=timedelta(seconds=1)), Order("soup"))
            except TaskNotSent as error:
                refunded = await ctx.run_typed("refund", refund)
                await ctx.sleep(timedelta(seconds=0.1))
                ends.append(refunded)
                if len(ends) == 1:
                    if process == "another":
                        monkeypatch.setattr(unknown_service, "_tries", unknown_service.CallTries())
                    raise RuntimeError("so that it is replayed") from None
                return f"{refunded}: {error.type}"
            return "sent"

        async with serve_endpoint(restate.app([service]), env.stack.restate), asyncio.timeout(90):
            answer = await env.ingress.call(f"{service.name}/order")
    assert answer == "refunded: urn:kallback:not-watched"
    assert (refunds, ends) == (["refund"], ["refunded"] * 2)


@pytest.mark.parametrize("process", ["the same", "another"])
async def test_a_handler_ends_although_the_monitor_was_removed(
    make_env: EnvFactory,
    own_topics: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    process: str,
) -> None:
    """While its tasks ran: they end with their values, and a replay in any process comes the same way."""
    own = replace(own_topics, keys=replace(own_topics.keys, audience=uuid4().hex))
    service = restate.Service(f"Removed{uuid4().hex[:8]}", invocation_retry_policy=SOON)
    ends = list[str]()
    async with make_env(settings=own, services_elsewhere=True) as env:
        watched = env.limited(heartbeat_every=timedelta(minutes=1))

        @service.handler()
        async def order(ctx: restate.Context) -> list[str]:
            handles = await env.callbacks.start_many(ctx, watched, [Order("a"), Order("b"), Order("c")])
            shelves = [each.shelf for each in await env.callbacks.gather(handles)]
            await ctx.sleep(timedelta(seconds=0.1))
            ends.append("end")
            if len(ends) == 1:
                if process == "another":
                    monkeypatch.setattr(unknown_service, "_tries", unknown_service.CallTries())
                raise RuntimeError("so that it is replayed")
            return shelves

        async with serve_endpoint(restate.app([service]), env.stack.restate), asyncio.timeout(90):
            async with serve_endpoint(restate.app(env.callbacks.services), env.stack.restate) as monitor:
                invocation = await env.ingress.send(f"{service.name}/order")
                tasks = [await env.task() for _ in range(3)]
                url = f"{env.stack.admin_url}/deployments/{monitor.deployment_id}?force=true"
                assert (await env.http.delete(url)).is_success
            for task in tasks:
                await env.complete(task, b'{"shelf": "B3"}')
            answer = await env.ingress.attach(invocation)
    assert (answer, ends) == (["B3"] * 3, ["end"] * 2)
    assert caplog.text.count("does not tell it which tasks end") == 1
