"""Runs a service until a signal or its own end: the start/stop contract, seen from the command line.

The first SIGTERM or SIGINT stops the service: it drains and commits. If the service is still starting, its start is
cancelled, so that a server that does not answer cannot delay the end. A second signal ends the process at once; Kafka
redelivers what was unfinished.

Ownership: this module owns the task that runs the service, and nothing else. Cancelling the command drains, too.
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

from kallback.cli.heap import use_one_heap
from kallback.health import Phase
from kallback.lifecycle import restore_signals_in_forks

logger = logging.getLogger(__name__)

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
EXIT_INTERRUPTED: Final = 130


class Service(Protocol):
    """What the bridge and a worker have in common."""

    @property
    def phase(self) -> Phase:
        """Where in its life it is."""
        ...

    async def run(self) -> None:
        """Start, and run until `stop` is called; raise what ends the service for good."""
        ...

    async def stop(self) -> None:
        """Drain, commit, return when stopped; a second call is allowed."""
        ...


def serve(service: Service, *beside: AbstractAsyncContextManager[object]) -> None:
    """Run a service until it ends or a signal stops it, in a process with one heap.

    Args:
        service: what runs.
        beside: entered before the service starts, left after it has stopped.

    Raises:
        KallbackError: what ended the service for good.
    """
    use_one_heap()
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
    if running.done():
        await running
    elif service.phase is Phase.STARTING:
        await _cancel_start(service, running)
    else:
        await service.stop()
        await running


async def _cancel_start(service: Service, running: asyncio.Task[None]) -> None:
    running.cancel()
    try:
        await running
    except asyncio.CancelledError:
        logger.info("stopped before the start was complete")
    finally:
        await service.stop()


def _handle_signals(asked: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if asked.is_set():
            logger.warning("%s: ending at once; Kafka delivers again what is unfinished", number.name)
            os._exit(EXIT_INTERRUPTED)
        logger.info("%s: draining; a second signal ends the process at once", number.name)
        asked.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    restore_signals_in_forks(*_SIGNALS)
