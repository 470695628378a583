"""The restaurant's point of sale: takes orders from Kafka and answers on Kafka. It knows nothing of Restate.

Run it with `kallback worker pos_worker:worker`, as often as there are kitchens.
"""

from __future__ import annotations

import asyncio
import os

from tasks import Order, Prepared, prepare

from kallback.kafka import ConsumerOptions
from kallback.workers import StopReason, TaskContext, TaskFailure, Worker, WorkerOptions

SOLD_OUT = {"Burrata with heirloom tomatoes"}
SLOW_MINUTES = {"Peking duck, whole": 240}
MINUTE = 0.15  # seconds; a demo is short

# With a name of its own a killed kitchen gets its orders back at once, instead of after Kafka's session timeout.
_NAME = os.environ.get("KITCHEN_NAME")

worker = Worker("kitchen", options=WorkerOptions(consumer=ConsumerOptions(group_instance_id=_NAME)))


@worker.task(prepare)
async def cook(order: Order, task: TaskContext) -> Prepared:
    """Cook one order; what is returned or raised here is what the waiting workflow gets."""
    for item in order.items:
        if item.dish in SOLD_OUT:
            raise TaskFailure("OutOfStock", f"{item.dish} is sold out", status=422, retryable=False)
    minutes = 6 + sum(SLOW_MINUTES.get(item.dish, 3) * item.quantity for item in order.items)
    task.log.info("order %s: cooking", order.id)
    try:
        await asyncio.sleep(minutes * MINUTE)
    except asyncio.CancelledError:
        if task.stop_reason is not StopReason.WORKER_STOPPING:  # then another kitchen cooks it
            task.log.info("order %s: told to stop (%s), taken off the stove", order.id, task.stop_reason)
        raise
    task.log.info("order %s: packed", order.id)
    return Prepared(minutes=minutes, shelf=f"shelf {int(order.id) % 4 + 1}")
