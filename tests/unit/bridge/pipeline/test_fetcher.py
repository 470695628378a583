"""Fetching: whatever happens to a consumer, it is stopped in the end."""

from __future__ import annotations

import asyncio
from typing import Never

from kallback.bridge import BridgeOptions
from kallback.bridge.context import BridgeContext
from kallback.bridge.pipeline.fetcher import Fetcher
from kallback.kafka import Consumer, MemoryBroker, MemoryConsumer
from kallback.protocol import KafkaUnavailableError


class FailingConsumer(MemoryConsumer):
    """Fails at its first fetch; its first stop lasts until it is cancelled."""

    def __init__(self) -> None:
        broker = MemoryBroker()
        broker.create_topic("results")
        super().__init__(broker, ["results"], "group")
        self.stopping = asyncio.Event()
        self.stopped = False

    async def fetch(self, limit: int, timeout: float) -> Never:  # noqa: ASYNC109 - the interface's
        """Say that it cannot go on."""
        del limit, timeout
        raise KafkaUnavailableError("gone")

    async def stop(self) -> None:
        """Wait for a broker that does not answer; the second time there is nothing to wait for."""
        if not self.stopping.is_set():
            self.stopping.set()
            await asyncio.Event().wait()
        await super().stop()
        self.stopped = True


class NoLimit:
    """Lets everything be fetched."""

    async def wait(self) -> int:
        """Return at once."""
        return 1


async def test_a_consumer_whose_replacement_was_cut_short_is_stopped() -> None:
    """The bridge is stopped while a failed consumer closes: otherwise its client would be left to nobody."""
    consumer = FailingConsumer()

    def make() -> Consumer:
        return consumer

    fetcher = Fetcher("fetcher", make, lambda _records, _consumer: None, NoLimit(), BridgeContext(BridgeOptions()))
    await fetcher.start()
    await asyncio.wait_for(consumer.stopping.wait(), 20)
    assert fetcher.group_status() is None
    await fetcher.stop()
    assert consumer.stopped
