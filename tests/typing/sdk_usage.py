"""The sdk as users write it; type checkers read this file, nothing runs it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_type

import msgspec
import restate

from kallback.protocol import Attempt, TaskId
from kallback.sdk import (
    UNSET,
    Callbacks,
    Problem,
    Progress,
    RetryPolicy,
    TaskAwakeable,
    TaskError,
    TaskFailed,
    TaskHandle,
    TaskNotSent,
    TaskTimedOut,
    TaskType,
    UnknownTask,
    complete_awakeable,
    reject_awakeable,
)


class Order(msgspec.Struct):
    """What the handler takes, and sends."""

    dish: str


@dataclass
class Prepared:
    """What the worker answers."""

    shelf: str


prepare = TaskType("restaurant.prepare", request=Order, result=Prepared, timeout=timedelta(minutes=30))
render = TaskType(
    "menu.render",
    request=Order,
    result=Prepared,
    timeout=timedelta(days=2),
    attempt_timeout=timedelta(hours=6),
    start_timeout=timedelta(minutes=5),
    heartbeat_every=timedelta(seconds=10),
    retry=RetryPolicy(attempts=5, first_delay=timedelta(seconds=2), never={"OutOfStock"}),
)
clean = TaskType("restaurant.clean", request=str, result=type(None))
callbacks = Callbacks.from_env()
orders = restate.Workflow("orders")
tables = restate.VirtualObject("tables")


@orders.main()
async def run(ctx: restate.WorkflowContext, order: Order) -> str:
    """Every result has its declared type."""
    prepared = await callbacks.call(ctx, prepare, order, key="table 7", timeout=None)
    assert_type(prepared, Prepared)
    assert_type(await callbacks.call(ctx, clean, "table 7", timeout=UNSET), None)
    return prepared.shelf


@tables.handler()
async def race(ctx: restate.ObjectContext, order: Order) -> str:
    """Handles, their futures, and Restate's combinators."""
    handle = await callbacks.start(ctx, prepare, order, timeout=timedelta(seconds=5))
    assert_type(handle, TaskHandle[Prepared])
    assert_type(handle.future, restate.RestateDurableFuture[Prepared])
    assert_type(handle.deadline, datetime | None)
    await restate.select(prepared=handle.future, enough=ctx.sleep(timedelta(seconds=1)))
    assert_type(await handle.ends_before(ctx.sleep(timedelta(seconds=1))), bool)
    try:
        assert_type(await handle.result(), Prepared)
    except TaskFailed as error:
        assert_type(error.type, str)
        assert_type(error.problem, Problem)
        assert_type(error.attempt, Attempt | None)
        assert_type(error.task_id, TaskId)
    except (TaskTimedOut, TaskNotSent):
        await handle.cancel()
    return (await handle.result()).shelf


@tables.handler()
async def many(ctx: restate.ObjectContext, dishes: list[Order]) -> int:
    """Fan-out: all or nothing, what there is, the first ones."""
    handles = await callbacks.start_many(ctx, render, dishes, keys=[dish.dish for dish in dishes])
    assert_type(handles, list[TaskHandle[Prepared]])
    assert_type(await callbacks.gather(handles), list[Prepared])
    assert_type(await callbacks.gather(handles, partial=True), list[Prepared | TaskError])
    assert_type(await callbacks.first(handles), list[Prepared])
    assert_type(await callbacks.all_end_before(handles, ctx.sleep(timedelta(seconds=1)), or_one_fails=True), bool)
    return len(await callbacks.first(handles, 2))


@tables.handler()
async def watch(ctx: restate.ObjectContext, task_id: str) -> int:
    """How a task stands."""
    try:
        progress = await callbacks.progress(ctx, task_id)
    except UnknownTask:
        return 0
    assert_type(progress, Progress)
    assert_type(progress.started, datetime | None)
    assert_type(progress.details_as(Order), Order)
    return progress.attempt


@tables.handler()
async def low_level(ctx: restate.ObjectContext, token: str) -> None:
    """Awakeables sent and completed by hand."""
    waiting = await callbacks.awakeable(ctx, prepare)
    assert_type(waiting, TaskAwakeable[Prepared])
    assert_type(await waiting.result(), Prepared)
    callbacks.complete(ctx, token, Prepared("B3"))
    callbacks.fail(ctx, token, Problem("OutOfStock", 422, "no basil"))
    complete_awakeable(ctx, waiting.id, {"driver": "sam"})
    reject_awakeable(ctx, waiting.id, "no driver", 404)


@tables.handler()
async def mistakes(ctx: restate.ObjectContext) -> None:
    """What a type checker must refuse; each ignore is used, or the checker says so."""
    await callbacks.call(ctx, prepare, "no order")  # type: ignore[misc] # pyright: ignore[reportArgumentType] - must not pass
    await callbacks.call(ctx, prepare, Order("x"), timeout=5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - must not pass


app = callbacks.app([orders, tables])
