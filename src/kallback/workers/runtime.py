"""One start-to-stop of a worker: makes the parts, starts them in order, ends them in the opposite order.

Order of the start: topics are checked, the producer connects, the cancels are read to the end of the control topic,
the consumer joins the group, fetching begins. Order of the end: fetching ends, what is held back is released, what
runs is drained, child processes end, the consumer commits and leaves (during the drain, once no running task needs the
membership), then cancels (they matter during the drain) and producer stop. All parts together have one bound beside
the drain's: a part that does not end in time is named in the log, and the next one follows.

A part that ends by itself ends the runtime: `ended` raises its error.

Cancellation: `open` unwinds what it has started, also when `close` is called meanwhile. A cancelled `close` cuts the
drain short and still closes everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

from kallback.health import Histogram, Phase
from kallback.kafka import (
    IN_BATCHES,
    DeadLetters,
    GroupStatus,
    LetterBudget,
    RefusalTracker,
    RefusedWrites,
    TopicReader,
)
from kallback.lifecycle import Backoff, LogThrottle, StopDeadline, Supervisor
from kallback.settings.logs import NamedLog, named_log
from kallback.workers.attempts.results import ResultPublisher
from kallback.workers.attempts.runner import AttemptRunner
from kallback.workers.attempts.table import AttemptTable
from kallback.workers.cancel_memory import CancelMemory, RefusedCancels
from kallback.workers.cancellation import CancelFollower
from kallback.workers.execution.blocked_loop_detector import BlockedLoopDetector
from kallback.workers.execution.process_pool import ProcessPool, check_importable, check_not_in_new_child
from kallback.workers.intake.consumer_supervisor import ConsumerSupervisor
from kallback.workers.intake.dead_letter_settler import DeadLetterSettler
from kallback.workers.intake.fetch_loop import FetchLoop, QueuedTask
from kallback.workers.intake.in_flight import InFlightAttempts
from kallback.workers.intake.reply_topics import ReplyTopics
from kallback.workers.intake.scheduler import Scheduler
from kallback.workers.intake.unacknowledged import UnacknowledgedResults
from kallback.workers.logs import guarded_logger
from kallback.workers.observability.stats import RunningTasks, WorkerCounts
from kallback.workers.registration.options import Executor
from kallback.workers.runtime_config import RuntimeConfig

logger = guarded_logger(__name__)

_CONTROL_RECORD_BYTES: Final = 16 * 1024
"""Of a record of the control topic, the one topic that workers read whole: a cancel takes 1 KiB, and headers."""
_DEADLINE_INTERVAL_S: Final = 0.25  # how late a deadline may be noticed
_SHORT_DRAIN_S: Final = 5.0
"""Not worth leaving the group before its end: members notice a rebalance at their next heartbeat, up to 3 s later, and
what is handed back meanwhile would wait for it."""
_LEAVE_INTERVAL_S: Final = 0.1  # between looks during a drain at whether a task needs the membership
_STOP_TIMEOUT_S: Final = 8.0
"""For all parts together to stop, without the drain and `cancel_grace`: a frozen broker must not hold a worker until it
is killed, which happens 40 s after SIGTERM in our units and manifests."""


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
        self._deadline: StopDeadline | None = None
        self._left: asyncio.Task[None] | None = None
        self._backoff: Final = Backoff(options.retry_delay, options.retry_delay_limit)
        self.refused_cancels: Final = RefusedCancels(LogThrottle(NamedLog(logger)))
        on_refused = self.refused_cancels.add
        self._cancels: Final = CancelMemory(options.cancels_kept, options.cancels_age, config.clock, on_refused)
        self._supervisor: Final = Supervisor("kallback-worker", self._on_failure, named_log("kallback.workers"))
        self._in_flight: Final = InFlightAttempts(on_refused)
        self.durations: Final = dict[str, Histogram]()
        self._blocked_loop_detector: Final = BlockedLoopDetector(options.loop_stall)
        self._process_pool: Final = ProcessPool(options.cancel_grace, self._supervisor.call_later)
        topics = config.settings.topics
        written = (*topics.all_results, topics.progress, topics.dead_letters)
        self._refused: Final = RefusedWrites(written, NamedLog(logger))
        self._producer: Final = RefusalTracker(clients.producer(), self._refused)
        self._letters: Final = RefusalTracker(clients.producer(IN_BATCHES), self._refused)
        self._consumer: Final = ConsumerSupervisor(
            lambda: clients.consumer(config.task_topics, config.group, config.consumer), self._backoff
        )
        self._cancel_follower: Final = CancelFollower(
            self._open_reader, self._cancels, self._in_flight.cancel, self._supervisor, self._backoff
        )
        self._fetch_loop: Final = self._make_fetch_loop()

    def _make_fetch_loop(self) -> FetchLoop:
        config = self._config
        table = AttemptTable(config.options.finished_kept)
        topics, replies = config.settings.topics, config.replies
        reply_topics = ReplyTopics({*topics.all_results, topics.progress}, replies.allows, config.clients.list_topics)
        runner = self._make_runner(table)
        budget = LetterBudget(config.settings.dead_letters, time.monotonic())
        return FetchLoop(
            consumer=self._consumer,
            rules=config.rules(reply_topics.is_missing),
            learn_topics=reply_topics.learn,
            find_cancel=self._cancels.find,
            table=table,
            runner=runner,
            dead_letters=DeadLetterSettler(budget, runner, self._consumer, self._in_flight),
            in_flight=self._in_flight,
            scheduler=Scheduler[QueuedTask](config.options.concurrency, config.limits),
            unacknowledged=UnacknowledgedResults(config.options.unacknowledged),
            supervisor=self._supervisor,
            counts=self._counts,
            clock=config.clock,
            retry_delay=config.options.retry_delay_limit,
            commit_interval=config.options.consumer.commit_interval,
        )

    def _make_runner(self, table: AttemptTable) -> AttemptRunner:
        config, topics = self._config, self._config.settings.topics
        dead_letters = DeadLetters(self._letters, topics.dead_letters, group=config.group, clock=config.clock)
        own_topics = frozenset({*topics.all_results, topics.dead_letters})
        return AttemptRunner(
            table=table,
            publisher=ResultPublisher(self._producer, dead_letters, own_topics, self._backoff),
            producer=self._producer,
            process_pool=self._process_pool,
            settle=self._consumer.settle,
            partitions=self._consumer.partitions_of,
            counts=self._counts,
            durations=self.durations,
            clock=config.clock,
            backoff=self._backoff,
            expose_tracebacks=config.options.expose_tracebacks,
            spans=config.spans,
        )

    @property
    def phase(self) -> Phase:
        """Where in its life it is; stopped when a part ended by itself."""
        if self._supervisor.failure is not None:
            return Phase.STOPPED
        if self._asked_to_close.is_set():
            return Phase.DRAINING
        return Phase.RUNNING if self.is_open else Phase.STARTING

    def group_status(self) -> GroupStatus | None:
        """What it knows of its group; None before it has joined."""
        return self._consumer.group_status() if self.is_open else None

    def running(self) -> RunningTasks:
        """What runs now."""
        by_type = dict.fromkeys(self._config.functions, 0) | self._in_flight.by_type()
        oldest = self._in_flight.oldest(time.monotonic())
        return RunningTasks(by_type, oldest, self._config.slots, self._fetch_loop.held_back())

    @property
    def control_records(self) -> Mapping[str, int]:
        """Records of the control topic by outcome."""
        return self._cancel_follower.counts

    @property
    def control_unread(self) -> str | None:
        """Why the control topic is not read now; None while it is."""
        return self._cancel_follower.unread

    @property
    def refused_writes(self) -> Mapping[str, str | None]:
        """What to do about each topic that the worker writes to, while it refuses records; otherwise None."""
        return self._refused

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
        """Wait until a part ends by itself, or `close` is called.

        Raises:
            KallbackError: what ended it.
        """
        await self._ended.wait()
        if self._supervisor.failure is not None:
            raise self._supervisor.failure

    def ask_to_close(self) -> None:
        """Make `ended` return; its caller closes."""
        self._asked_to_close.set()
        self._ended.set()

    async def close(self) -> None:
        """Drain, commit, stop everything; twice is fine."""
        self.ask_to_close()
        async with self._turn:
            await self._closing.aclose()

    async def _open(self) -> None:
        config = self._config
        check_not_in_new_child()
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._log_stop)
            for function in config.functions.values():
                if function.executor is Executor.PROCESS:
                    check_importable(function)
            await config.clients.check_topics(config.needed_topics)
            await self._start(stack, "supervisor", _nothing, lambda: self._supervisor.stop(self._stopping.remaining))
            detector = self._blocked_loop_detector
            await self._start(stack, "blocked-loop detector", detector.start, detector.stop)
            await self._start(stack, "producer", self._producer.start, self._producer.stop)
            await self._start(stack, "dead letters", _nothing, self._letters.stop)  # connects when there is one
            await self._start(stack, "cancels", self._cancel_follower.start, self._cancel_follower.stop)
            await self._start(stack, "consumer", self._consumer.start, self._leave_group)
            await self._start(stack, "process pool", _nothing, self._process_pool.stop)
            self._run(stack, "deadlines", self._watch_deadlines())
            stack.push_async_callback(self._drain)
            self._run(stack, "crash-guard", self._fetch_loop.crash_guard.run())
            self._fetching = self._run(stack, "fetch-loop", self._fetch_loop.run())
            self._closing = stack.pop_all()
        logger.info("worker %s takes tasks of: %s", config.group, ", ".join(config.functions))

    @property
    def _stopping(self) -> StopDeadline:
        """The bound for all parts, from the first one that is stopped."""
        if self._deadline is None:
            seconds = _STOP_TIMEOUT_S + self._config.options.cancel_grace
            self._deadline = StopDeadline("kallback-worker", seconds, NamedLog(logger))
        return self._deadline

    async def _start(
        self,
        stack: contextlib.AsyncExitStack,
        name: str,
        start: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[object]],
    ) -> None:
        """Start a part, and see to its bounded stop whatever happens."""
        stack.push_async_callback(self._stop_part, name, stop)
        await start()

    def _run(self, stack: contextlib.AsyncExitStack, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._supervisor.run(name, work)
        stack.push_async_callback(self._stop_part, name, lambda: _end(task))
        return task

    async def _stop_part(self, name: str, stop: Callable[[], Awaitable[object]]) -> None:
        await self._stopping.stop(name, stop)

    async def _drain(self) -> None:
        self._fetch_loop.release_held()
        if self._in_flight:
            logger.info(
                "worker %s waits for at most %g s for its tasks in flight: %d; then others continue them",
                self._config.group,
                self._config.options.drain_timeout,
                len(self._in_flight),
            )
        begun = time.monotonic()
        leaving = asyncio.create_task(self._leave_early(), name="kallback-leave")
        try:
            abandoned = await self._in_flight.drain(self._config.options.drain_timeout)
            self._counts.abandoned += abandoned
        finally:
            await _end(leaving)
            self._stopping.extend(time.monotonic() - begun)

    async def _leave_early(self) -> None:
        """Leave the group as soon as no running task needs it: other workers take the partitions during the drain.

        Attempts that their caller replaces if they are lost continue without their records, as in a rebalance. A member
        with an instance id stays: Kafka keeps its partitions for its successor.
        """
        options = self._config.options
        if self._config.consumer.group_instance_id is not None or options.drain_timeout < _SHORT_DRAIN_S:
            return
        self._fetch_loop.prepare_revoke(self._consumer.assignment())
        while self._fetch_loop.needs_group:  # noqa: ASYNC110 - many things end it, and none is an event
            await asyncio.sleep(_LEAVE_INTERVAL_S)
        if self._in_flight:
            logger.info("worker %s has left its group: others take new tasks", self._config.group)
        self._left = asyncio.create_task(self._consumer.stop(), name="kallback-leave-group")

    async def _leave_group(self) -> None:
        """Commit and leave the group, unless that has begun during the drain."""
        await (self._consumer.stop() if self._left is None else self._left)

    def _log_stop(self) -> None:
        if self._fetching is not None:  # otherwise it has never taken a task, and an error says why
            logger.info("worker %s stopped", self._config.group)

    async def _watch_deadlines(self) -> None:
        """Look again and again instead of waiting until then: the clock may be set, and a laptop may sleep."""
        while True:
            await asyncio.sleep(_DEADLINE_INTERVAL_S)
            self._in_flight.expire(self._config.clock() - self._config.options.clock_skew)

    def _open_reader(self) -> TopicReader:
        since = self._config.clock() - self._config.options.cancels_age
        topic = self._config.settings.topics.control
        return self._config.clients.reader(topic, max(0, int(since * 1000)), _CONTROL_RECORD_BYTES)

    def _on_failure(self, error: Exception) -> None:
        self._ended.set()
        logger.error("worker %s takes no more tasks: %s", self._config.group, str(error) or repr(error))


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


async def _nothing() -> None:
    pass
