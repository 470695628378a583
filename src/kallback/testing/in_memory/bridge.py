"""The real bridge on an in-memory broker; a function replaces Restate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from kallback.bridge import (
    Accepted,
    Bridge,
    BridgeOptions,
    Clocks,
    Completion,
    Dependencies,
    FunctionCompleter,
    Reply,
    Settled,
)
from kallback.bridge.progress.decide import ProgressUpdate
from kallback.bridge.progress.monitor_client import Answered, SendResult
from kallback.bridge.restate.services import ServiceAnswer
from kallback.bridge.results.late_policy import LateResult, ToHandler
from kallback.kafka import MemoryBroker, MemoryClients
from kallback.protocol import Marks
from kallback.settings import Settings


def memory_bridge(
    settings: Settings,
    broker: MemoryBroker,
    *,
    now: Callable[[], float],
    complete: Callable[[Completion], Awaitable[Reply]],
    settled: Callable[[Settled], None],
) -> Bridge:
    """A bridge, not started."""
    dependencies = Dependencies(
        completer=lambda _settings, _options: FunctionCompleter(complete),
        kafka=lambda _settings, _options: MemoryClients(broker),
        check_restate=_checked,
        handlers=lambda _: _NoHandlers(),
        monitor_client=lambda _: _NoMonitorClient(),
        service_check=lambda _settings, _options: _NoServices(),
        clocks=Clocks(now=now),
    )
    return Bridge(settings, BridgeOptions(), dependencies=dependencies, on_settled=settled)


class _NoHandlers:
    """No Restate handler takes late results."""

    async def start(self, wanted: frozenset[ToHandler]) -> None:
        """Nothing to look for."""

    async def send(self, handler: ToHandler, result: LateResult) -> Reply:
        """Take it."""
        del handler, result
        return Accepted()

    async def stop(self) -> None:
        """Nothing to close."""


class _NoMonitorClient:
    """Accepts updates and marks, and drops them."""

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    def send_update(self, update: ProgressUpdate, answered: Answered) -> None:
        """Take an update."""
        del update
        asyncio.get_running_loop().call_soon(answered, SendResult.ACCEPTED, "")

    def report(self, topic: str, marks: Marks, answered: Answered) -> None:
        """Take marks."""
        del topic, marks
        asyncio.get_running_loop().call_soon(answered, SendResult.ACCEPTED, "")


class _NoServices:
    """No service has to be asked."""

    async def ask(self) -> list[ServiceAnswer]:
        """There are no answers."""
        return []


async def _checked(*_: object) -> bool:
    """Nothing to check: Restate is simulated."""
    return True
