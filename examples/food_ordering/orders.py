"""One order from payment to the door: a Restate workflow, keyed by the order's id.

The line that matters is `await callbacks.call(...)`. It publishes the order to Kafka and waits, durably and for as
long as it takes, for the kitchen's answer; this process may crash and restart meanwhile.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
import restate
from delivery import Delivery, deliver
from payments import charge, refund
from restate import TerminalError
from tasks import Order, prepare

from kallback.sdk import Callbacks, TaskFailed, TaskNotSent, TaskTimedOut

CONFLICT = 409  # also how Restate tells a handler that its invocation was cancelled

callbacks = Callbacks.from_env()
workflow = restate.Workflow("OrderWorkflow")


class Stage(StrEnum):
    """Where an order is."""

    PREPARING = "PREPARING"
    DELIVERING = "DELIVERING"
    DELIVERED = "DELIVERED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"


class Status(msgspec.Struct, frozen=True):
    """What a customer sees of an order."""

    stage: Stage
    detail: str
    charged_cents: int
    refunded_cents: int = 0


@workflow.main()
async def create(ctx: restate.WorkflowContext, order: Order) -> Status:
    """Take the money, have the order cooked, have it delivered; give the money back if that cannot be."""
    charged = await ctx.run_typed("charge", charge, order_id=order.id, cents=order.total_cents)
    ctx.set("invocation", ctx.request().id)
    try:
        ctx.set("status", Status(Stage.PREPARING, f"at {order.restaurant.name}", charged))
        packed = await callbacks.call(ctx, prepare, order, key=order.restaurant.name)

        ctx.set("status", Status(Stage.DELIVERING, f"on {packed.shelf} after {packed.minutes} minutes", charged))
        driver = await ctx.object_call(deliver, key=order.id, arg=Delivery(order.restaurant, order.customer))
    except TaskFailed as failure:  # the kitchen said no, and why
        return await _give_up(ctx, order, Stage.REJECTED, f"{failure.type}: {failure.message}")
    except (TaskTimedOut, TaskNotSent) as silence:
        return await _give_up(ctx, order, Stage.REJECTED, f"no answer from the kitchen: {silence.message}")
    except TerminalError as error:
        if error.status_code != CONFLICT:
            raise
        return await _give_up(ctx, order, Stage.CANCELLED, "by the customer")
    status = Status(Stage.DELIVERED, f"by {driver}", charged)
    ctx.set("status", status)
    return status


@workflow.handler()
async def status(ctx: restate.WorkflowSharedContext) -> Status:
    """Tell where the order is."""
    found = await ctx.get("status", type_hint=Status)
    if found is None:
        raise TerminalError(f"order {ctx.key()} is not known yet", status_code=404)
    return found


@workflow.handler()
async def cancel(ctx: restate.WorkflowSharedContext) -> None:
    """Cancel the order while it is in the kitchen; kallback then tells the kitchen."""
    found = await status(ctx)
    if found.stage is not Stage.PREPARING:
        raise TerminalError(f"too late: order {ctx.key()} is {found.stage}", status_code=CONFLICT)
    ctx.cancel_invocation(await ctx.get("invocation", type_hint=str) or "")


async def _give_up(ctx: restate.WorkflowContext, order: Order, stage: Stage, why: str) -> Status:
    refunded = await ctx.run_typed("refund", refund, order_id=order.id, cents=order.total_cents)
    ended = Status(stage, why, order.total_cents, refunded)
    ctx.set("status", ended)
    return ended
