"""The service of the run: its handlers wait for tasks that no worker does, or for answers that do not come."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import restate

from kallback.protocol import TaskType
from kallback.sdk import Callbacks

_DAY: Final = timedelta(days=1)

plain = TaskType("pending.plain", request=dict[str, Any], result=dict[str, Any], timeout=_DAY)
watched = TaskType("pending.watched", request=dict[str, Any], result=dict[str, Any], timeout=_DAY, heartbeat_every=_DAY)

callbacks = Callbacks.from_env()
waiting = restate.Service("Pending")


@waiting.handler()
async def one(ctx: restate.Context, number: int) -> None:
    """Wait for one task."""
    await callbacks.call(ctx, plain, {"number": number})


@waiting.handler()
async def one_watched(ctx: restate.Context, number: int) -> None:
    """Wait for one task with heartbeats."""
    await callbacks.call(ctx, watched, {"number": number})


@waiting.handler()
async def many(ctx: restate.Context, count: int) -> None:
    """Wait for many tasks."""
    await callbacks.gather(await callbacks.start_many(ctx, plain, [{"number": number} for number in range(count)]))


@waiting.handler()
async def asked(ctx: restate.Context, _number: int) -> None:
    """Wait for an answer to a token."""
    await (await callbacks.awakeable(ctx, plain)).result()


app = callbacks.app([waiting])
