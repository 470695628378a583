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
from kallback.bridge.results.late_policy import LateResult, ToHandler
from kallback.kafka import MemoryBroker, MemoryConsumer, MemoryEndOffsets, MemoryProducer
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
    topics, options = settings.topics, BridgeOptions()
    results, progress = options.group_for(topics.results), options.progress_group_for(topics.results)
    reading = options.for_consumer()
    dependencies = Dependencies(
        completer=lambda _settings, _options: FunctionCompleter(complete),
        consumer=lambda _settings, _options: MemoryConsumer(broker, [topics.results], results, options=reading),
        producer=lambda _: MemoryProducer(broker),
        check_topics=_checked,
        check_restate=_checked,
        handlers=lambda _: _NoHandlers(),
        progress_consumer=lambda _settings, _options: MemoryConsumer(
            broker, [topics.progress], progress, options=reading
        ),
        end_offsets=lambda _: MemoryEndOffsets(broker),
        monitor_client=lambda _: _NoMonitorClient(),
        clocks=Clocks(now=now),
    )
    return Bridge(settings, options, dependencies=dependencies, on_settled=settled)


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


async def _checked(*_: object) -> None:
    """Nothing to check: the topics exist, and Restate is simulated."""
