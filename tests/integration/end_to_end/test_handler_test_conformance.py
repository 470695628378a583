"""`HandlerTest` answers as production does: the same handlers and the same worker in both."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import restate
from tests.integration.end_to_end.conformance_cases import Cases, Types, names, register
from tests.integration.end_to_end.environment import TaskPath

from kallback.bridge import Bridge
from kallback.sdk import Callbacks
from kallback.testing import HandlerTest, Stack, eventually, serve_endpoint
from kallback.workers import Worker

pytestmark = pytest.mark.integration
CANCELLED = "a_cancelled_invocation"


async def test_handlers_come_to_the_same_outcomes_in_memory_and_on_real_servers(
    path: TaskPath, kallback_stack: Stack
) -> None:
    """Results, errors, retries, cancels, timeouts, progress, awakeables, fan-out."""
    types = Types(path.task_type.topic)
    worker = Worker(f"conformance-{uuid4().hex[:8]}", settings=path.settings)
    register(worker, types)
    simulated = await in_memory(types, worker)
    assert await on_servers(types, worker, path, kallback_stack) == simulated


async def in_memory(types: Types, worker: Worker) -> dict[str, Any]:
    """The outcomes with `HandlerTest`; each case has one of its own."""

    async def run(name: str, cancel_after: timedelta | None = None) -> Any:
        async with HandlerTest() as test:
            for each in types.answered():
                test.worker.on(each).runs(worker)
            for each in types.unanswered():
                test.worker.on(each).never_answers()

            async def handler(ctx: restate.Context) -> Any:
                return await getattr(Cases(ctx, test.callbacks, types), name)()

            return await test.run(handler, cancel_after=cancel_after)

    found = {name: await run(name) for name in names()}
    return found | {CANCELLED: await run(CANCELLED, timedelta(seconds=0.5))}


async def on_servers(types: Types, worker: Worker, path: TaskPath, stack: Stack) -> dict[str, Any]:
    """The outcomes with Kafka, Restate, a bridge and a worker; nothing reads the types without an answer."""
    service = restate.Service(f"Conformance{uuid4().hex[:8]}")
    waiting = asyncio.Event()
    async with Callbacks(path.settings, services_elsewhere=True) as callbacks:

        @service.handler()
        async def run(ctx: restate.Context, name: str) -> Any:
            if name == CANCELLED:
                waiting.set()
            return await getattr(Cases(ctx, callbacks, types), name)()

        async with serve_endpoint(restate.app([service]), stack.restate), Bridge(path.settings), worker:
            calls = [path.ingress.call(f"{service.name}/run", name) for name in names()]
            found = dict(zip(names(), await asyncio.gather(*calls), strict=True))
            invocation = await path.ingress.send(f"{service.name}/run", CANCELLED)
            await eventually("the handler", waiting.is_set)
            await path.admin.cancel(invocation)
            return found | {CANCELLED: await path.ingress.attach(invocation)}
