"""The health port: `/metrics`, `/livez` and `/readyz` of one process, on the event loop of what is looked at.

It is up before that starts and until it has stopped, so that probes can say `starting` and `draining`. Nothing here is
called per record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Protocol

import msgspec

from kallback.health.pages import Page, PageServer
from kallback.lifecycle import StartStop

LOOPBACK: Final = "127.0.0.1"
_LOOK: Final = 1.0

Metrics = Callable[[str], tuple[bytes, str]]
"""From a request's `Accept` to body and content type."""


class Verdict(Protocol):
    """What a probe says; written as JSON."""

    @property
    def ok(self) -> bool:
        """Yes or no."""
        ...


class Pulse(Protocol):
    """What is looked at."""

    def look(self) -> None:
        """Note whether something happened since the last look; called every second."""
        ...

    def live(self) -> Verdict:
        """Whether a restart would not help."""
        ...

    def ready(self) -> Verdict:
        """Whether it does its work now."""
        ...


class HealthServer(StartStop):
    """Serves the health of one process.

    Args:
        port: 0 takes a free one, see `port`.
        host: address to listen on. Default loopback: there is neither TLS nor a login here.
    """

    def __init__(self, pulse: Pulse, metrics: Metrics, port: int, host: str = LOOPBACK) -> None:
        self._pulse = pulse
        self._pages = PageServer(
            {
                "/metrics": lambda accept: Page(*metrics(accept)),
                "/livez": lambda _: _page(pulse.live()),
                "/readyz": lambda _: _page(pulse.ready()),
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
            self._pulse.look()
            await asyncio.sleep(_LOOK)


def _page(verdict: Verdict) -> Page:
    status = HTTPStatus.OK if verdict.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return Page(msgspec.json.encode(verdict) + b"\n", "application/json", status)
