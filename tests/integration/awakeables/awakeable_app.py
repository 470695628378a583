"""A Restate application with one handler for each way to wait on an awakeable; run as a process of its own."""

import os
from datetime import timedelta
from typing import Any

import restate
from confluent_kafka import Producer

from kallback.protocol import TaskType
from kallback.sdk import Callbacks, complete_awakeable
from kallback.settings import Settings

ECHO_TOPIC = os.environ["ECHO_TOPIC"]
IDS_TOPIC = os.environ["IDS_TOPIC"]

callbacks = Callbacks(Settings.from_env(), allow_bare_awakeables=True)
echo = TaskType("echo", request=object, result=object, timeout=timedelta(minutes=2), topic=ECHO_TOPIC)

page = restate.Service("Page")
desk = restate.VirtualObject("Desk")


@page.handler()
async def ask(ctx: restate.Context, request: Any) -> Any:
    """Wait for a task's result."""
    return await callbacks.call(ctx, echo, request)


@page.handler()
async def wait(ctx: restate.Context, name: str) -> Any:
    """Wait on an awakeable as Restate's own documentation does; the id goes out by hand."""
    future: restate.RestateDurableFuture[Any]
    awakeable_id, future = ctx.awakeable()
    await ctx.run_typed("announce", announce, name=name, text=awakeable_id)
    return await future


@page.handler()
async def wait_for_token(ctx: restate.Context, name: str) -> Any:
    """Wait on an awakeable of kallback; the token goes out by hand."""
    waiting = await callbacks.awakeable(ctx, echo)
    await ctx.run_typed("announce", announce, name=name, text=waiting.token)
    return await waiting.result()


@page.handler()
async def complete(ctx: restate.Context, completion: dict[str, Any]) -> None:
    """Complete somebody else's awakeable."""
    complete_awakeable(ctx, completion["id"], completion["payload"])


@desk.handler()
async def sit(ctx: restate.ObjectContext, request: Any) -> Any:
    """Hold the key until the task's result is there."""
    return await callbacks.call(ctx, echo, request)


@desk.handler()
async def ring(ctx: restate.ObjectContext) -> str:
    """Answer at once, unless the key is held."""
    return ctx.key()


async def announce(name: str, text: str) -> None:
    """Tell the test what to complete."""
    producer = Producer({"bootstrap.servers": os.environ["KALLBACK_KAFKA_BOOTSTRAP_SERVERS"]})
    producer.produce(IDS_TOPIC, value=text, key=name)
    producer.flush(10)


app = restate.app([page, desk, *callbacks.services])
