"""The Restate service of a run, in a process of its own: handlers that wait, and the ways to complete them.

`Waiting/wait` leaves marks; `Waiting/tasks` waits for tasks that no worker does. `Native/resolve` is the sink of
Restate's own Kafka subscription. `Trips` has the round trips: the same handler, completed by a post of this process or
through task topic, worker and bridge; and between the two one that journals what the latter journals and is completed
like the former: a Kafka that costs nothing.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import Counter
from datetime import timedelta
from typing import Any, Final

import restate
from restate.serde import BytesSerde

from benchmarks import marks
from benchmarks.poster import Poster
from benchmarks.worker import echo, idle
from kallback.sdk import Callbacks

_BYTES: Final = BytesSerde()

callbacks = Callbacks.from_env()
poster = Poster(os.environ["KALLBACK_RESTATE_INGRESS_URL"], connections=64)
posts: set[asyncio.Task[Any]] = set()
starts: Counter[str] = Counter()
"""How often the handler of each round trip was started, by invocation; a suspended handler is started again, too."""

waiting = restate.Service("Waiting", journal_retention=timedelta(0))
native = restate.Service("Native")
trips = restate.Service("Trips", journal_retention=timedelta(0))


@waiting.handler()
async def wait(ctx: restate.Context, name: str) -> None:
    """Wait on an awakeable, and say when and for how long."""
    awakeable, completed = ctx.awakeable(serde=_BYTES)
    marks.leave(marks.WAITS, name, awakeable)
    await completed
    marks.leave(marks.DONE, name, repr(time.monotonic()))


@waiting.handler()
async def tasks(ctx: restate.Context, count: int) -> None:
    """Wait for tasks that no worker does."""
    await callbacks.gather(await callbacks.start_many(ctx, idle, [str(number) for number in range(count)]))


@native.handler()
async def resolve(ctx: restate.Context, item: dict[str, Any]) -> None:
    """Resolve what a Kafka record names: no token, nothing checked, the least that such a handler can do."""
    ctx.resolve_awakeable(item["id"], item["value"])


@trips.handler()
async def direct(ctx: restate.Context, text: str) -> str:
    """Wait for a value that this process posts itself, outside of the journal: nothing could be cheaper."""
    starts[ctx.request().id] += 1
    awakeable, completed = ctx.awakeable(type_hint=str)
    _post(awakeable, text)
    return await completed


@trips.handler()
async def durable(ctx: restate.Context, text: str) -> str:
    """Wait for the same with what durability needs: a time-out, what is random drawn once, a step that sends."""
    starts[ctx.request().id] += 1
    timer = ctx.sleep(timedelta(minutes=5))
    drawn = await ctx.run_typed("draw", _drawn)
    awakeable, completed = ctx.awakeable(type_hint=str)

    async def send() -> str:
        _post(awakeable, text)
        return drawn

    sending = ctx.run_typed("send", send)
    await restate.wait_completed(sending, timer)
    await restate.wait_completed(completed, timer)
    return await completed


@trips.handler()
async def kallback(ctx: restate.Context, text: str) -> str:
    """Wait for the same value from a worker."""
    starts[ctx.request().id] += 1
    return await callbacks.call(ctx, echo, text)


@trips.handler()
async def repeated(ctx: restate.Context, _: str) -> int:
    """How many of the handlers above were started more than once since this was asked last."""
    del ctx
    found = sum(times > 1 for times in starts.values())
    starts.clear()
    return found


async def _drawn() -> str:
    return secrets.token_hex(12)


def _post(awakeable: str, text: str) -> None:
    post = asyncio.create_task(poster.post(f"/restate/awakeables/{awakeable}/resolve", f'"{text}"'.encode()))
    posts.add(post)
    post.add_done_callback(posts.discard)


app = restate.app([waiting, native, trips, *callbacks.services])
