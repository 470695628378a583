"""A small Restate service for the tests beside it; also run by import string in a process of its own."""

from __future__ import annotations

import restate

greeter = restate.Service("TestingGreeter")
waiting: list[str] = []


@greeter.handler()
async def hello(_ctx: restate.Context, name: str) -> str:
    """Greet."""
    return f"hello {name}"


@greeter.handler()
async def refuse(_ctx: restate.Context) -> None:
    """Fail for good."""
    raise restate.TerminalError("not today", 418)


@greeter.handler()
async def wait(ctx: restate.Context) -> str:
    """Wait for an awakeable."""
    awakeable_id, value = ctx.awakeable(type_hint=str)
    waiting.append(awakeable_id)
    return await value


app = restate.app([greeter])
