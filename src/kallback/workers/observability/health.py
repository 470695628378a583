"""`/metrics`, `/livez` and `/readyz` of one worker.

async with WorkerHealthServer(worker, port=9464):
await worker.run()
"""

from __future__ import annotations

import time
from collections.abc import Callable

from kallback import health
from kallback.health.exposition import exposition
from kallback.workers.observability.metrics import WorkerCollector
from kallback.workers.observability.probes import WatchedWorker, WorkerProbes


class WorkerHealthServer(health.HealthServer):
    """Serves the health of a worker.

    Args:
        worker: what is looked at; need not be started.
        port: 0 takes a free one, see `port`.
        host: address to listen on. Default loopback: there is neither TLS nor a login here.
        monotonic: the process's clock.
    """

    def __init__(
        self,
        worker: WatchedWorker,
        port: int,
        host: str = health.LOOPBACK,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(WorkerProbes(worker, monotonic), exposition(WorkerCollector(worker)), port, host)
