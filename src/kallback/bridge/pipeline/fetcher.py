"""Takes records from Kafka while there is room for them, and gets another consumer when one is beyond repair."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from kallback.bridge.context import BridgeContext
from kallback.kafka import Consumer, GroupStatus, Record
from kallback.protocol import KafkaUnavailableError

PATIENCE: Final = 1.0
"""Seconds that one fetch waits; nothing depends on it."""


class Bound(Protocol):
    """What says how much may be fetched."""

    async def wait(self) -> int:
        """Wait until something may be; return how many records."""
        ...


class Fetcher:
    """Owns the consumer and the one task that fetches.

    Records in flight when a consumer is replaced stay in flight; they come again from its successor and attach.

    Args:
        make: a new consumer, not started.
        take: called with what a fetch brought, and from which consumer.
        on_fatal: told when Kafka refuses for good.
    """

    def __init__(
        self,
        make: Callable[[], Consumer],
        take: Callable[[Sequence[Record], Consumer], None],
        room: Bound,
        context: BridgeContext,
        *,
        on_fatal: Callable[[Exception], None],
    ) -> None:
        self._make = make
        self._take = take
        self._in_flight = room
        self._context = context
        self._on_fatal = on_fatal
        self._consumer: Consumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join the group and begin to fetch; raises what `Consumer.start` raises."""
        self._consumer = consumer = self._make()
        await consumer.start()
        self._task = asyncio.create_task(self._run(consumer), name="kallback-bridge-fetcher")

    def group_status(self) -> GroupStatus | None:
        """How the consumer stands; None while there is none."""
        return None if self._consumer is None else self._consumer.group_status()

    async def pause(self) -> None:
        """Fetch no more; the partitions stay ours, so that what is in flight can become done."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def stop(self) -> None:
        """Commit what is done and leave the group; stopping twice is fine."""
        await self.pause()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _run(self, consumer: Consumer) -> None:
        try:
            while True:
                try:
                    await self._fetch(consumer)
                except KafkaUnavailableError as error:
                    self._context.log.warning("the consumer is replaced", kind="consumer", detail=str(error))
                    consumer = await self._replace(consumer)
        except Exception as error:  # noqa: BLE001 - a fetcher that ends in silence would look like an empty topic
            self._on_fatal(error)

    async def _fetch(self, consumer: Consumer) -> None:
        while True:
            limit = await self._in_flight.wait()
            records = await consumer.fetch(limit, PATIENCE)
            if records:
                self._take(records, consumer)
                await asyncio.sleep(0)  # let the senders begin before the next batch is decided on

    async def _replace(self, broken: Consumer) -> Consumer:
        self._consumer = None
        await broken.stop()
        failures = 0
        while True:
            self._consumer = consumer = self._make()
            try:
                await consumer.start()
            except KafkaUnavailableError as error:
                failures += 1
                self._context.log.warning("Kafka does not answer, trying again", kind="consumer", detail=str(error))
                self._consumer = None
                await consumer.stop()
                await asyncio.sleep(self._context.options.backoff.delay(failures, self._context.clocks.random()))
            else:
                return consumer
