"""Runs a service until a signal or its own end: the one start/stop contract, seen from the command line.

The first SIGTERM or SIGINT asks the service to stop: it drains and commits. A second one ends the process at once,
as people expect of Ctrl-C pressed twice; whatever was unfinished is delivered again by Kafka.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

logger = logging.getLogger(__name__)

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
EXIT_INTERRUPTED: Final = 130


class Service(Protocol):
    """What the bridge and a worker have in common."""

    async def run(self) -> None:
        """Start and go on until `stop` is called; raise what ends the service for good."""
        ...

    async def stop(self) -> None:
        """Drain, commit, return when stopped; twice is fine."""
        ...


def serve(service: Service, *beside: AbstractAsyncContextManager[object]) -> None:
    """Run a service until it ends or a signal asks it to.

    Args:
        service: what runs.
        beside: entered before the service starts, left after it has stopped.

    Raises:
        KallbackError: what ended the service for good.
    """
    asyncio.run(_serve_beside(service, beside))


async def _serve_beside(service: Service, beside: Iterable[AbstractAsyncContextManager[object]]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for each in beside:
            await stack.enter_async_context(each)
        await _serve(service)


async def _serve(service: Service) -> None:
    asked = asyncio.Event()
    _handle_signals(asked)
    running = asyncio.create_task(service.run(), name="service")
    asking = asyncio.create_task(asked.wait(), name="signal")
    await asyncio.wait({running, asking}, return_when=asyncio.FIRST_COMPLETED)
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    if not running.done():
        await service.stop()
    await running


def _handle_signals(asked: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if asked.is_set():
            os._exit(EXIT_INTERRUPTED)
        logger.info("%s: draining; once more ends at once", number.name)
        asked.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
