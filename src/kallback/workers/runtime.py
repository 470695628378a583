"""One start-to-stop of a worker: makes the parts, starts them in order, ends them in the opposite order.

Order of the start: topics are checked, the producer connects, the cancels are read to the end of the control topic,
the consumer joins the group, fetching begins. Order of the end: fetching ends, what is held back is given back, what
runs is drained, child processes end, the consumer commits and leaves, then cancels (they matter during the drain) and
producer stop.

Cancel: `open` unwinds what it has started, also when `close` is called meanwhile. A cancelled `close` cuts the drain
short and still closes everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from kallback.health import Histogram, Phase
from kallback.kafka import ConsumerOptions, DeadLetters, GroupStatus, TopicReader
from kallback.settings import Settings
from kallback.workers.attempts.decide import AttemptTable
from kallback.workers.attempts.heartbeats import HeartbeatSenders
from kallback.workers.attempts.results import ResultPublisher
from kallback.workers.attempts.runner import AttemptRunner
from kallback.workers.backoff import Backoff
from kallback.workers.cancellation import CancelFollower, CancelMemory
from kallback.workers.clients import KafkaClients
from kallback.workers.execution.blocked_loop_detector import BlockedLoopDetector
from kallback.workers.execution.process_pool import ProcessPool, check_importable
from kallback.workers.intake.consumer_supervisor import ConsumerSupervisor
from kallback.workers.intake.fetch_loop import FetchLoop
from kallback.workers.intake.in_flight import InFlight
from kallback.workers.intake.scheduler import Scheduler
from kallback.workers.observability.probes import RunningTasks
from kallback.workers.observability.stats import WorkerCounts
from kallback.workers.options import WorkerOptions
from kallback.workers.registration.functions import TaskFunction
from kallback.workers.registration.options import Executor

logger = logging.getLogger(__name__)

_DEADLINES_EVERY: Final = 0.25  # seconds; how late a deadline may be noticed


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
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

    @property
    def needed_topics(self) -> list[str]:
        """All topics that must exist."""
        ours = self.settings.topics
        monitored = any(function.task_type.monitored for function in self.functions.values())
        progress = [ours.progress] if monitored else []
        return [*self.task_topics, ours.control, ours.results, ours.dead_letters, *progress]

    @property
    def limits(self) -> dict[str, int]:
        """The limits of those types that have one."""
        return {name: function.limit for name, function in self.functions.items() if function.limit is not None}

    @property
    def consumer(self) -> ConsumerOptions:
        """The consumer's options: what is held back is bounded per partition, so that no full type stops the others."""
        options = dataclasses.replace(self.options.consumer, commit_metadata=True)
        holds_back = self.limits or any(function.ordered for function in self.functions.values())
        if not holds_back or options.unfinished_records is not None:
            return options
        return dataclasses.replace(options, unfinished_records=self.options.concurrency + self.options.held_back)


class WorkerRuntime:
    """Everything that runs while a worker runs."""

    def __init__(self, config: RuntimeConfig, counts: WorkerCounts) -> None:
        options, clients = config.options, config.clients
        self._config: Final = config
        self._counts: Final = counts
        self._closing = contextlib.AsyncExitStack()
        self._fetching: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._asked_to_close = asyncio.Event()
        self._turn = asyncio.Lock()  # one opening or closing at a time
        backoff = Backoff(options.retry_delay, options.retry_delay_limit)
        memory = CancelMemory(options.cancels_kept, options.cancels_age, config.clock)
        self._in_flight = InFlight()
        self.durations: Final = dict[str, Histogram]()
        self._stalls = BlockedLoopDetector(options.loop_stall)
        self._process_pool = ProcessPool(options.cancel_grace)
        self._producer = clients.producer()
        self._consumer = ConsumerSupervisor(
            lambda: clients.consumer(config.task_topics, config.group, config.consumer), backoff
        )
        self._follower = CancelFollower(self._open_reader, memory, self._in_flight.cancel, backoff)
        self._fetch_loop = self._make_intake(memory, backoff)

    def _make_intake(self, memory: CancelMemory, backoff: Backoff) -> FetchLoop:
        config, options, topics = self._config, self._config.options, self._config.settings.topics
        attempts = AttemptTable(
            config.functions,
            memory.find,
            options.reply_topics,
            options.finished_kept,
            options.clock_skew,
            options.deliveries,
        )
        dead_letters = DeadLetters(self._producer, topics.dead_letters, group=config.group, clock=config.clock)
        publisher = ResultPublisher(
            self._producer, dead_letters, frozenset({topics.results, topics.dead_letters}), backoff
        )
        return FetchLoop(
            self._consumer,
            attempts,
            AttemptRunner(
                attempts,
                publisher,
                self._counts,
                self.durations,
                self._consumer.settle,
                expose_tracebacks=options.expose_tracebacks,
            ),
            self._in_flight,
            Scheduler(options.concurrency, config.limits),
            HeartbeatSenders(self._producer, config.clock, backoff),
            self._process_pool,
            self._counts,
            config.clock,
        )

    @property
    def phase(self) -> Phase:
        """Where in its life it is."""
        if self._asked_to_close.is_set():
            return Phase.DRAINING
        return Phase.RUNNING if self.is_open else Phase.STARTING

    def group_status(self) -> GroupStatus | None:
        """How it stands in its group; None before it has joined."""
        return self._consumer.group_status() if self.is_open else None

    def running(self) -> RunningTasks:
        """What runs now."""
        return self._in_flight.running(time.monotonic(), self._config.options.concurrency)

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
        config = self._config
        async with contextlib.AsyncExitStack() as stack:
            for function in config.functions.values():
                if function.executor is Executor.PROCESS:
                    check_importable(function)
            await config.clients.check_topics(config.needed_topics)
            stack.push_async_callback(self._stalls.stop)
            await self._stalls.start()
            stack.push_async_callback(self._producer.stop)
            await self._producer.start()
            stack.push_async_callback(self._follower.stop)
            await self._follower.start()
            stack.push_async_callback(self._consumer.stop)
            await self._consumer.start()
            stack.push_async_callback(self._process_pool.stop)
            watching = asyncio.create_task(self._watch_deadlines(), name="kallback-deadlines")
            stack.push_async_callback(_end, watching)
            stack.push_async_callback(self._drain)
            self._fetching = asyncio.create_task(self._fetch_loop.run(), name="kallback-intake")
            self._fetching.add_done_callback(self._fetching_ended)
            self._closing = stack.pop_all()
        logger.info("worker %s takes tasks of: %s", config.group, ", ".join(config.functions))

    async def _drain(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})
        self._fetch_loop.release_held()
        if self._in_flight:
            logger.info("worker %s waits for %d tasks in flight", self._config.group, len(self._in_flight))
        self._counts.abandoned += await self._in_flight.drain(self._config.options.drain_timeout)

    async def _watch_deadlines(self) -> None:
        """Look again and again instead of waiting until then: the clock may be set, and a laptop may sleep."""
        while True:
            await asyncio.sleep(_DEADLINES_EVERY)
            self._in_flight.expire(self._config.clock() - self._config.options.clock_skew)

    def _open_reader(self) -> TopicReader:
        since = self._config.clock() - self._config.options.cancels_age
        return self._config.clients.reader(self._config.settings.topics.control, max(0, int(since * 1000)))

    def _fetching_ended(self, fetching: asyncio.Task[None]) -> None:
        self._ended.set()
        if not fetching.cancelled() and (error := fetching.exception()) is not None:
            logger.error("worker %s fetches no more: %s", self._config.group, error)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
