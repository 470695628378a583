"""The bakery: cakes take long, so it reports its progress, and continues where another baker stopped.

Run it with `kallback worker bakery:worker`, as often as there are bakers.
"""

from __future__ import annotations

import asyncio

from tasks import Baked, Cake, bake

from kallback.workers import TaskContext, Worker

LAYER = 0.5  # seconds; a demo is short

worker = Worker("bakery")


# Acknowledged on start: a cake may take longer than any rebalance, and missing heartbeats reveal a baker that is gone.
@worker.task(bake, acknowledge="start")
async def bake_cake(cake: Cake, task: TaskContext) -> Baked:
    """Bake layer by layer; the next baker gets the details of the last heartbeat."""
    done: int = task.last_details or 0
    task.log.info("cake %s: attempt %d begins at layer %d", cake.id, task.attempt, done + 1)
    for layer in range(done + 1, cake.layers + 1):
        await asyncio.sleep(LAYER)
        task.heartbeat(layer)
        task.log.info("cake %s: layer %d of %d", cake.id, layer, cake.layers)
    return Baked(cake.layers, resumed_at=done)
