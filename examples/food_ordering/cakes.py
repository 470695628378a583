"""A cake for a wedding: a task that takes long, seen from the workflow that waits for it."""

from __future__ import annotations

import restate
from orders import callbacks
from tasks import Baked, Cake, bake

workflow = restate.Workflow("CakeOrder")


@workflow.main()
async def create(ctx: restate.WorkflowContext, cake: Cake) -> Baked:
    """Have a cake baked, by several bakers if one is lost; the task can be asked for meanwhile."""
    handle = await callbacks.start(ctx, bake, cake)
    ctx.set("task", handle.task_id)
    return await handle.result()


@workflow.handler()
async def task(ctx: restate.WorkflowSharedContext) -> str | None:
    """The task's id, to read its progress: `kallback tasks progress ID`."""
    return await ctx.get("task", type_hint=str)
