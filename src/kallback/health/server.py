"""The health port: `/metrics`, `/livez` and `/readyz` of one process, on the event loop of what is observed.

It is up before that starts and until it has stopped, so that probes can say `starting` and `draining`. Nothing here is
called per record.

Ownership: one task looks at the process every second, one task serves each connection; `stop` ends them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Protocol

import msgspec

from kallback.health.pages import Page, PageServer
from kallback.health.phases import Phase
from kallback.lifecycle import LogThrottle, StartStop
from kallback.settings import named_log

LOOPBACK: Final = "127.0.0.1"
_LOOK: Final = 1.0

Metrics = Callable[[str], tuple[bytes, str]]
"""From a request's `Accept` to body and content type."""


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe says; written as JSON. Each kind of process adds fields of its own.

    Attributes:
        reasons: why not; empty if `ok`.
        phase: where in its life the process is.
        partitions: the number of partitions that it owns; None while it has no consumer.
        lag: the sum of their lags, or `unknown` while that of any is; None while it has no consumer.
    """

    ok: bool
    reasons: list[str]
    phase: Phase
    partitions: int | None
    lag: int | str | None


class Probes(Protocol):
    """The probes of one process. They are synchronous and must not block."""

    def look(self) -> None:
        """Note whether something happened since the last look; called every second."""
        ...

    def live(self) -> ProbeResult:
        """Whether a restart would not help."""
        ...

    def ready(self) -> ProbeResult:
        """Whether the process does its work now."""
        ...


class ProbeServer(StartStop):
    """Serves probes and metrics of one process.

    Args:
        port: 0 takes a free one, see `port`.
        host: address to listen on. Default loopback: there is neither TLS nor a login here.
    """

    def __init__(self, probes: Probes, metrics: Metrics, port: int, host: str = LOOPBACK) -> None:
        self._probes = probes
        self._throttle = LogThrottle(named_log("kallback.health"))
        self._pages = PageServer(
            {
                "/metrics": lambda accept: Page(*metrics(accept)),
                "/livez": lambda _: _page(probes.live()),
                "/readyz": lambda _: _page(probes.ready()),
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
        self._looking = asyncio.create_task(self._look(), name="kallback-health")

    async def stop(self) -> None:
        """Close the port; stopping twice is fine."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        await self._pages.stop()

    async def _look(self) -> None:
        while True:
            try:
                self._probes.look()
            except Exception as error:  # noqa: BLE001 - a defect of a probe must not end the looks in silence
                self._throttle.error(
                    "a look at the process failed", kind=type(error).__name__, reason=str(error), exc_info=error
                )
            await asyncio.sleep(_LOOK)


def _page(result: ProbeResult) -> Page:
    status = HTTPStatus.OK if result.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return Page(msgspec.json.encode(result) + b"\n", "application/json", status)
