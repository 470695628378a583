"""One start-to-stop of a worker: makes the parts, starts them in order, ends them in the opposite order.

Order of the start: topics are checked, the producer connects, the cancels are read to the end of the control topic,
the consumer joins the group, fetching begins. Order of the end: fetching ends, what runs is drained, the consumer
commits and leaves, then cancels (they matter during the drain) and producer stop.

Cancel: `open` unwinds what it has started, also when `close` is called meanwhile. A cancelled `close` cuts the drain
short and still closes everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from kallback.kafka import DeadLetters, TopicReader
from kallback.settings import Settings
from kallback.workers.attempts import Lives
from kallback.workers.backoff import Backoff
from kallback.workers.cancels import CancelFollower, CancelMemory
from kallback.workers.clients import KafkaClients
from kallback.workers.counts import WorkerCounts
from kallback.workers.functions import TaskFunction
from kallback.workers.in_flight import InFlight
from kallback.workers.intake import ConsumerSeat, Intake
from kallback.workers.options import WorkerOptions
from kallback.workers.publishing import Publisher
from kallback.workers.registry import Registry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a session is made of."""

    group: str
    functions: Mapping[str, TaskFunction]
    settings: Settings
    options: WorkerOptions
    clients: KafkaClients
    clock: Callable[[], float]

    @property
    def task_topics(self) -> list[str]:
        """The topics that the registered types live on, each once."""
        return sorted({function.task_type.topic for function in self.functions.values()})


class Session:
    """Everything that runs while a worker runs."""

    def __init__(self, plan: Plan, counts: WorkerCounts) -> None:
        options, clients, topics = plan.options, plan.clients, plan.settings.topics
        self._plan: Final = plan
        self._counts: Final = counts
        self._closing = contextlib.AsyncExitStack()
        self._fetching: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._asked_to_close = asyncio.Event()
        self._turn = asyncio.Lock()  # one opening or closing at a time
        backoff = Backoff(options.retry_delay, options.retry_delay_limit)
        memory = CancelMemory(options.cancels_kept, options.cancels_age, plan.clock)
        registry = Registry(plan.functions, memory.find, options.reply_topics, options.finished_kept)
        self._in_flight = InFlight(options.concurrency)
        self._producer = clients.producer()
        self._seat = ConsumerSeat(lambda: clients.consumer(plan.task_topics, plan.group, options.consumer), backoff)
        self._follower = CancelFollower(self._open_reader, memory, self._in_flight.cancel, backoff)
        dead_letters = DeadLetters(self._producer, topics.dead_letters, group=plan.group, clock=plan.clock)
        publisher = Publisher(self._producer, dead_letters, frozenset({topics.results, topics.dead_letters}), backoff)
        lives = Lives(registry, publisher, counts, self._seat.settle, expose_tracebacks=options.expose_tracebacks)
        self._intake = Intake(self._seat, registry, lives, self._in_flight, counts, plan.clock)

    @property
    def is_open(self) -> bool:
        """Whether tasks are taken, or were until fetching ended by itself."""
        return self._fetching is not None

    async def open(self) -> None:
        """Start everything; return when it runs, or when `close` was called meanwhile. Twice is fine.

        Raises:
            KallbackError: what is missing; whatever was started is stopped again.
        """
        async with self._turn:
            if self.is_open or self._asked_to_close.is_set():
                return
            opening = asyncio.create_task(self._open(), name="kallback-start")
            asked = asyncio.create_task(self._asked_to_close.wait(), name="kallback-stop-asked")
            try:
                await asyncio.wait({opening, asked}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                asked.cancel()
                opening.cancel()
                await asyncio.wait({opening, asked})
            if not opening.cancelled():
                opening.result()

    async def ended(self) -> None:
        """Wait until fetching ends by itself or by `close`.

        Raises:
            KallbackError: what ended it.
        """
        await self._ended.wait()
        if self._fetching is not None and self._fetching.done() and not self._fetching.cancelled():
            self._fetching.result()

    def ask_to_close(self) -> None:
        """Make `ended` return; whoever waits for it closes."""
        self._asked_to_close.set()
        self._ended.set()

    async def close(self) -> None:
        """Drain, commit, stop everything; twice is fine."""
        self.ask_to_close()
        async with self._turn:
            await self._closing.aclose()

    async def _open(self) -> None:
        plan, topics = self._plan, self._plan.settings.topics
        async with contextlib.AsyncExitStack() as stack:
            await plan.clients.check_topics([*plan.task_topics, topics.control, topics.results, topics.dead_letters])
            stack.push_async_callback(self._producer.stop)
            await self._producer.start()
            stack.push_async_callback(self._follower.stop)
            await self._follower.start()
            stack.push_async_callback(self._seat.stop)
            await self._seat.start()
            stack.push_async_callback(self._drain)
            self._fetching = asyncio.create_task(self._intake.run(), name="kallback-intake")
            self._fetching.add_done_callback(self._fetching_ended)
            self._closing = stack.pop_all()
        logger.info("worker %s takes tasks of: %s", plan.group, ", ".join(plan.functions))

    async def _drain(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})
        if self._in_flight:
            logger.info("worker %s waits for %d tasks in flight", self._plan.group, len(self._in_flight))
        self._counts.abandoned += await self._in_flight.drain(self._plan.options.drain_timeout)

    def _open_reader(self) -> TopicReader:
        since = self._plan.clock() - self._plan.options.cancels_age
        return self._plan.clients.reader(self._plan.settings.topics.control, max(0, int(since * 1000)))

    def _fetching_ended(self, fetching: asyncio.Task[None]) -> None:
        self._ended.set()
        if not fetching.cancelled() and (error := fetching.exception()) is not None:
            logger.error("worker %s fetches no more: %s", self._plan.group, error)
