"""`/metrics`, `/livez` and `/readyz` of one bridge.

    bridge = Bridge(settings)
    async with HealthServer(bridge, port=9464):
        await bridge.run()

It ends with its block.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from kallback import health
from kallback.bridge.bridge import Bridge
from kallback.bridge.observability.metrics import BridgeCollector
from kallback.bridge.observability.probes import STUCK_AFTER, BridgeProbes
from kallback.health.exposition import exposition


class HealthServer(health.ProbeServer):
    """Serves the health of a bridge.

    Args:
        bridge: what is looked at; need not be started.
        port: 0 takes a free one, see `port`.
        host: address to listen on. Default loopback: there is neither TLS nor a login here.
        monotonic: the process's clock.
        stuck_after: seconds without progress after which `/livez` fails. Default 60.
    """

    def __init__(
        self,
        bridge: Bridge,
        port: int,
        host: str = health.LOOPBACK,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        stuck_after: float = STUCK_AFTER,
    ) -> None:
        super().__init__(BridgeProbes(bridge, monotonic, stuck_after), exposition(BridgeCollector(bridge)), port, host)
