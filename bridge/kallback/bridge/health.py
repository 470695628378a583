"""`/metrics`, `/livez` and `/readyz` of one bridge, on its own event loop.

    bridge = Bridge(settings)
    async with HealthServer(bridge, port=9464):
        await bridge.run()

It is up before the bridge starts and until it has stopped, so that probes can say `starting` and `draining`. Nothing
here is called per record.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import msgspec

from kallback.bridge.bridge import Bridge
from kallback.bridge.metrics import exposition
from kallback.bridge.pages import Page, PageServer
from kallback.bridge.probes import STUCK_AFTER, Liveness, Verdict, readiness

LOOPBACK: Final = "127.0.0.1"
_LOOK: Final = 1.0


class HealthServer:
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
        host: str = LOOPBACK,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        stuck_after: float = STUCK_AFTER,
    ) -> None:
        self._liveness = Liveness(bridge, monotonic, stuck_after)
        metrics = exposition(bridge)
        self._pages = PageServer(
            {
                "/metrics": lambda accept: Page(*metrics(accept)),
                "/livez": lambda _: _page(self._liveness.verdict()),
                "/readyz": lambda _: _page(readiness(bridge)),
            },
            host,
            port,
        )
        self._looking: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._pages.port

    async def start(self) -> None:
        """Listen, and begin to look.

        Raises:
            ConfigurationError: the port cannot be had.
        """
        await self._pages.start()
        self._looking = asyncio.create_task(self._look(), name="kallback-bridge-health")

    async def stop(self) -> None:
        """Close the port; stopping twice is fine."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        await self._pages.stop()

    async def _look(self) -> None:
        while True:
            self._liveness.look()
            await asyncio.sleep(_LOOK)

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()


def _page(verdict: Verdict) -> Page:
    status = HTTPStatus.OK if verdict.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return Page(msgspec.json.encode(verdict) + b"\n", "application/json", status)
