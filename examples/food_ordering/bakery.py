"""The bakery: cakes take long, so it tells how far it is, and goes on where another baker stopped.

Run it with `kallback worker bakery:worker`, as often as there are bakers.
"""

from __future__ import annotations

import asyncio

from tasks import Baked, Cake, bake

from kallback.kafka import ConsumerOptions
from kallback.workers import TaskContext, Worker, WorkerOptions

LAYER = 0.5  # seconds; a demo is short

# The shortest session that brokers allow by default: in a demo nobody wants to wait 45 s for Kafka to notice a death.
worker = Worker("bakery", options=WorkerOptions(consumer=ConsumerOptions(session_timeout=6)))


# Acknowledged on start: a cake may take longer than any rebalance, and the heartbeats notice a baker who is gone.
@worker.task(bake, acknowledge="start")
async def bake_cake(cake: Cake, task: TaskContext) -> Baked:
    """Bake layer by layer; what the heartbeats say is what the next baker knows."""
    done: int = task.last_details or 0
    task.log.info("cake %s: attempt %d begins at layer %d", cake.id, task.attempt, done + 1)
    for layer in range(done + 1, cake.layers + 1):
        await asyncio.sleep(LAYER)
        task.heartbeat(layer)
        task.log.info("cake %s: layer %d of %d", cake.id, layer, cake.layers)
    return Baked(cake.layers, resumed_at=done)
