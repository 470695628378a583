"""The service of the run: handlers that start many tasks and gather their results, and what that costs the process."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Final

import restate

from benchmarks.processes import rss_mib
from benchmarks.worker import echo
from kallback.sdk import Callbacks

callbacks = Callbacks.from_env()
starts: Counter[str] = Counter()
"""How often the handler of each invocation was started: once, and once for each time that it was resumed."""
_PARTS: Final = 10
_SELF: Final = Path("/proc/self")

connected = restate.Service("ManyConnected", inactivity_timeout=timedelta(minutes=10))
suspended = restate.Service("ManySuspended", inactivity_timeout=timedelta(0))
meter = restate.Service("ManyMeter", journal_retention=timedelta(0))


@connected.handler(name="all")
async def all_connected(ctx: restate.Context, count: int) -> int:
    """Gather in a handler that stays connected."""
    return await _gather(ctx, count, partial=False)


@connected.handler(name="each")
async def each_connected(ctx: restate.Context, count: int) -> int:
    """Likewise, with `partial=True`."""
    return await _gather(ctx, count, partial=True)


@connected.handler()
async def split(ctx: restate.Context, count: int) -> int:
    """Have ten handlers gather a tenth each, all connected."""
    starts[ctx.request().id] += 1
    parts = [ctx.service_call(all_connected, count // _PARTS) for _ in range(_PARTS)]
    await restate.gather(*parts)
    return sum([await part for part in parts])


@suspended.handler(name="all")
async def all_suspended(ctx: restate.Context, count: int) -> int:
    """Gather in a handler that is suspended whenever it waits, as on Lambda."""
    return await _gather(ctx, count, partial=False)


@suspended.handler(name="each")
async def each_suspended(ctx: restate.Context, count: int) -> int:
    """Likewise, with `partial=True`."""
    return await _gather(ctx, count, partial=True)


async def _gather(ctx: restate.Context, count: int, *, partial: bool) -> int:
    starts[ctx.request().id] += 1
    handles = await callbacks.start_many(ctx, echo, [f"order {number}" for number in range(count)])
    results = await (callbacks.gather(handles, partial=True) if partial else callbacks.gather(handles))
    return sum(isinstance(each, str) for each in results)


@meter.handler()
async def read(ctx: restate.Context, _: str) -> dict[str, float]:
    """What happened since this was asked last; begins anew."""
    del ctx
    found = {"starts": sum(starts.values()), "peak_rss_mib": rss_mib("self", "VmHWM"), "cpu_s": time.process_time()}
    starts.clear()
    (_SELF / "clear_refs").write_text("5")  # proc(5): the peak is what is resident now
    return found


app = restate.app([connected, suspended, meter])
