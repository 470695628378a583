"""The kit for workers: functions that do the tasks of Restate handlers, anywhere Kafka reaches, without Restate.

    worker = Worker("kitchen")

    @worker.task(prepare)
    async def cook(order: Order, task: TaskContext) -> Prepared: ...

Run it with `kallback worker kitchen:worker`, or with `await worker.run()`.
"""

from kallback.kafka import Client, KafkaClients
from kallback.workers.context import TaskContext
from kallback.workers.errors import TaskFailure
from kallback.workers.observability.stats import WorkerCounts
from kallback.workers.options import WorkerOptions
from kallback.workers.registration.options import Acknowledge, Executor
from kallback.workers.stop_reason import StopReason
from kallback.workers.worker import Worker

__all__ = [
    "Acknowledge",
    "Client",
    "Executor",
    "KafkaClients",
    "StopReason",
    "TaskContext",
    "TaskFailure",
    "Worker",
    "WorkerCounts",
    "WorkerOptions",
]
