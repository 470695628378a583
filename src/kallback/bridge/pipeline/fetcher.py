"""Fetches records from Kafka while the in-flight limit admits them, and replaces a consumer that cannot go on.

Ownership: the fetcher owns the consumer and the one task that fetches. Order: as the consumer's. Cancellation: `pause`
cancels the task; what was fetched stays in flight. Records in flight when a consumer is replaced stay in flight; the
new consumer redelivers them, and they attach to their deliveries.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from kallback.bridge.context import BridgeContext
from kallback.kafka import Consumer, GroupStatus, Record
from kallback.lifecycle import Backoff, ReplacementPace, retry
from kallback.protocol import KafkaUnavailableError

FETCH_TIMEOUT_S: Final = 1.0
"""How long one fetch waits for the first record; nothing depends on it."""
_CANCEL_TIMEOUT_S: Final = 1.0
_BETWEEN_REPLACEMENTS: Final = Backoff(0.1, 10.0)
"""When one consumer after the other fails: each new one makes the whole group rebalance."""


class FetchLimit(Protocol):
    """Says how many records may be fetched."""

    async def wait(self) -> int:
        """Wait until records may be fetched; return how many."""
        ...


class Fetcher:
    """Fetches for one topic of one bridge.

    Args:
        name: of the supervised task.
        make_consumer: returns a new consumer, not started.
        route: called with the records of a fetch and the consumer that they came from.
    """

    def __init__(
        self,
        name: str,
        make_consumer: Callable[[], Consumer],
        route: Callable[[Sequence[Record], Consumer], None],
        limit: FetchLimit,
        context: BridgeContext,
    ) -> None:
        self._name = name
        self._make_consumer = make_consumer
        self._route = route
        self._limit = limit
        self._context = context
        self._replacements = ReplacementPace(_BETWEEN_REPLACEMENTS)
        self._consumer: Consumer | None = None
        self._retiring: Consumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join the group and begin to fetch; raises what `Consumer.start` raises."""
        self._consumer = consumer = self._make_consumer()
        await consumer.start()
        self._task = self._context.supervisor.run(self._name, self._run(consumer))

    def group_status(self) -> GroupStatus | None:
        """Return the status of the consumer in its group; None while there is no consumer."""
        return None if self._consumer is None else self._consumer.group_status()

    async def pause(self) -> None:
        """Fetch nothing more; the partitions stay assigned, so that what is in flight can become done."""
        task, self._task = self._task, None
        if task is not None:
            await self._context.supervisor.cancel([task], _CANCEL_TIMEOUT_S)

    async def stop(self) -> None:
        """Commit what is done and leave the group; stopping twice is fine."""
        async with contextlib.AsyncExitStack() as stopping:  # also if it is cancelled meanwhile
            stopping.push_async_callback(self._retire_all)
            await self.pause()

    async def _run(self, consumer: Consumer) -> None:
        while True:
            try:
                await self._fetch(consumer)
            except KafkaUnavailableError as error:
                delay = self._replacements.delay(self._context.clocks.monotonic(), self._context.clocks.random())
                self._context.log.warning(
                    "Kafka consumer failed: it is replaced", kind="consumer", in_s=round(delay, 1), detail=str(error)
                )
                await self._retire(consumer)
                await asyncio.sleep(delay)
                consumer = await self._replace()

    async def _fetch(self, consumer: Consumer) -> None:
        while True:
            limit = await self._limit.wait()
            records = await consumer.fetch(limit, FETCH_TIMEOUT_S)
            if records:
                self._route(records, consumer)
                await asyncio.sleep(0)  # let sends begin before the next batch is decided

    async def _replace(self) -> Consumer:
        consumer = await retry(
            self._start_consumer,
            self._context.options.backoff,
            errors=KafkaUnavailableError,
            on_failure=self._log_unavailable,
            jitter=self._context.clocks.random,
        )
        self._replacements.started(self._context.clocks.monotonic())
        return consumer

    async def _start_consumer(self) -> Consumer:
        self._consumer = consumer = self._make_consumer()
        try:
            await consumer.start()
        except KafkaUnavailableError:
            await self._retire(consumer)
            raise
        return consumer

    async def _retire_all(self) -> None:
        async with contextlib.AsyncExitStack() as retiring:
            for consumer in (self._consumer, self._retiring):
                if consumer is not None:
                    retiring.push_async_callback(self._retire, consumer)

    async def _retire(self, consumer: Consumer) -> None:
        if consumer is self._consumer:
            self._consumer = None
        self._retiring = consumer
        await consumer.stop()
        self._retiring = None  # not after a cancellation: then `stop` stops it

    def _log_unavailable(self, error: Exception, _delay: float) -> None:
        self._context.log.warning("Kafka unavailable: retrying", kind="consumer", detail=str(error))
