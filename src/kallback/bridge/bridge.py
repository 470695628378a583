"""The bridge: turns result records into completions of awakeables, each record into exactly one outcome.

    fetcher ──records──► router ──deliveries──► dispatcher ──► completer ──► Restate
                           │  ▲                     │
                           │  └──────replies────────┘
                           ▼
                        settler     dead letter, outcome record, then done

This module is the composition root: it builds the components, starts and stops them, and takes no part in their work.

Ownership: the bridge owns its components; `InFlightLimit` bounds what is between fetch and done; all components run on
one event loop and share no lock. Nothing is durable here: Kafka redelivers what is not done. Every task, timer and
callback is supervised: its unexpected end stops the bridge, and `run` raises the error.

Start: keys, Restate and topics are checked before anything is fetched. Stop: fetching ends, what is in flight gets
`drain_timeout`, then the positions are committed and the group is left; each component has a bound. A failure stops
without draining: nothing in flight could be completed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Final

from kallback.bridge.context import BridgeContext
from kallback.bridge.dependencies import Dependencies
from kallback.bridge.dispatch.dispatcher import Dispatcher
from kallback.bridge.in_flight.limits import Backlog, InFlightLimit
from kallback.bridge.in_flight.parking import Parking
from kallback.bridge.monitoring import Monitoring
from kallback.bridge.options import BridgeOptions
from kallback.bridge.pipeline.copy_settler import CopySettler
from kallback.bridge.pipeline.fetcher import Fetcher
from kallback.bridge.pipeline.flood_screen import FloodScreen
from kallback.bridge.pipeline.late_sender import LateSender
from kallback.bridge.pipeline.late_settler import LateSettler
from kallback.bridge.pipeline.router import ResultRouter
from kallback.bridge.pipeline.settler import Settler
from kallback.bridge.pipeline.summaries import Summaries
from kallback.bridge.pipeline.unverified_settler import UnverifiedSettler
from kallback.bridge.restate_watch import RestateWatch
from kallback.bridge.results.known_copies import KnownCopies
from kallback.bridge.service_watch import ServiceWatch
from kallback.bridge.stats import Settled, Stats
from kallback.health import Phase
from kallback.kafka import IN_BATCHES, Consumer, DeadLetters, GroupStatus, LetterBudget, RefusalTracker, RefusedWrites
from kallback.lifecycle import StartStop, StopDeadline
from kallback.protocol.verification import Trust
from kallback.settings import Settings, named_log
from kallback.settings.option_types import check_argument, check_callable

_log: Final = named_log("kallback.bridge")
_STOP_TIMEOUT_S: Final = 10.0
"""How long the components together may take to stop after the drain: commits, a flush, the ends of connections."""


class Bridge(StartStop):
    """One bridge of a group; the bridges of a group share the partitions of the results topic.

        await Bridge(Settings.from_env()).run()

    Args:
        settings: Kafka, Restate, topics and keys.
        options: how it behaves.
        dependencies: makers of what touches the outside; the defaults are the real ones.
        on_settled: told of every record after its outcome is durable; must not block. Its error stops the bridge.

    Raises:
        InvalidKeyError: there is no signing key.
    """

    def __init__(
        self,
        settings: Settings,
        options: BridgeOptions | None = None,
        *,
        dependencies: Dependencies | None = None,
        on_settled: Callable[[Settled], None] | None = None,
    ) -> None:
        check_argument("Bridge", "settings", settings, Settings, "Settings.from_env()")
        check_argument("Bridge", "options", options, BridgeOptions, "BridgeOptions(concurrency=64)")
        check_argument("Bridge", "dependencies", dependencies, Dependencies, "Dependencies()")
        check_callable("Bridge", "on_settled", on_settled)
        keyring = settings.keys.require()
        self._settings = settings
        self._dependencies = made = dependencies or Dependencies()
        self._options = options = options or BridgeOptions()
        self._context = context = BridgeContext(options, made.clocks, on_failure=self._fail)
        self._group = options.group_for(settings.topics.results)
        self._trust = Trust(keyring, settings.keys.audience, options.allow_bare_awakeables, options.conventions)
        self._completer = made.completer(settings, options)
        self._clients = made.kafka(settings, options)
        refused = RefusedWrites(self._written_topics(), _log)
        context.stats.refused_writes = refused
        self._producer = RefusalTracker(self._clients.producer(IN_BATCHES), refused)
        self._in_flight = InFlightLimit(context)
        self._settler = self._build_settler(on_settled)
        budget = LetterBudget(settings.dead_letters, made.clocks.monotonic())
        known = KnownCopies(made.clocks.monotonic)
        self._screen = FloodScreen(self._trust, known, made.clocks.monotonic)
        self._summaries = Summaries(budget, self._settler, self._in_flight, context)
        unverified = UnverifiedSettler(budget, self._screen, self._settler, self._summaries, self._in_flight)
        self._dispatcher = Dispatcher(self._completer, context)
        parking = Parking(self._in_flight, context)
        self._restate_watch = RestateWatch(self._check_restate, context)
        self._late_sender = LateSender(made.handlers(settings), parking, self._settler, known, context)
        copies = CopySettler(self._screen, self._settler, self._summaries, self._in_flight)
        self._router = ResultRouter(
            self._trust,
            context,
            in_flight=self._in_flight,
            parking=parking,
            dispatcher=self._dispatcher,
            late=LateSettler(known, copies, self._late_sender, self._settler, context),
            settler=self._settler,
            unverified_settler=unverified,
            known=known,
            copies=copies,
            on_recovered=self._restate_watch.check_again,
        )
        self._fetcher = Fetcher("fetcher", self._make_consumer, self._router.route, self._in_flight, context)
        self._monitoring = Monitoring(
            settings,
            self._clients,
            made.monitor_client(settings),
            self._trust,
            context,
            results=self._fetcher.group_status,
        )
        self._service_watch = ServiceWatch(made.service_check(settings, options), settings.restate.ingress_url, context)
        self._running = AsyncExitStack()
        self._phase = Phase.STARTING
        self._failure: Exception | None = None
        self._ended = asyncio.Event()
        self._opening: asyncio.Timeout | None = None
        self._stopping = asyncio.Lock()  # one start or stop at a time
        self._deadline: StopDeadline | None = None

    @property
    def stats(self) -> Stats:
        """What was done so far."""
        return self._context.stats

    @property
    def options(self) -> BridgeOptions:
        """How it behaves."""
        return self._options

    @property
    def phase(self) -> Phase:
        """Starting, running, draining or stopped."""
        return self._phase

    @property
    def failure(self) -> Exception | None:
        """Why the bridge cannot go on; None while it can."""
        return self._failure

    def group_status(self) -> GroupStatus | None:
        """Return its status in the consumer group; None while it has no consumer."""
        return self._fetcher.group_status()

    def progress_status(self) -> GroupStatus | None:
        """Return its status in the consumer group that reads progress; None without such a consumer."""
        return self._monitoring.group_status()

    def backlog(self) -> Backlog:
        """Return what is in flight, by age and partition."""
        return self._in_flight.backlog()

    async def run(self) -> None:
        """Start, and run until `stop`. Cancelling it (Ctrl-C under `asyncio.run`) drains and commits, too.

        `kallback bridge` runs a bridge as a process that handles SIGTERM and SIGINT.

        Raises:
            ConfigurationError: a setting must change; the sentence says which.
            KafkaUnavailableError: no broker answers at the start.
        """
        async with self:
            await self.wait()

    async def start(self) -> None:
        """Check everything, then begin to fetch, or return when `stop` was called meanwhile; raises as `run`."""
        async with self._stopping:
            self._opening = opening = asyncio.timeout(None)
            try:
                async with opening:
                    await self._open()
            except TimeoutError:
                if not opening.expired():
                    raise
            finally:
                self._opening = None

    async def _open(self) -> None:
        async with AsyncExitStack() as starting:

            def stop_later(name: str, stop: Callable[[], Awaitable[None]]) -> None:
                starting.push_async_callback(self._stop_component, name, stop)

            stop_later("restate watch", self._restate_watch.stop)
            await self._restate_watch.start()
            stop_later("service watch", self._service_watch.stop)
            await self._service_watch.start()
            stop_later("producer", self._producer.stop)
            await self._producer.start()
            await self._clients.check_topics(self._topics())
            stop_later("completer", self._completer.stop)
            await self._completer.start()
            stop_later("fetcher", self._fetcher.stop)  # it commits after all that settles records has ended
            stop_later("settler", self._settler.stop)
            await self._settler.start()
            stop_later("summaries", self._summaries.stop)
            await self._summaries.start()
            stop_later("late sender", self._late_sender.stop)
            await self._late_sender.start()
            stop_later("dispatcher", self._dispatcher.stop)
            await self._dispatcher.start(self._router)
            await self._fetcher.start()
            if self._options.progress:
                stop_later("monitoring", self._monitoring.stop)
                await self._monitoring.start()
            self._running = starting.pop_all()
        self._phase = Phase.RUNNING
        if self._settings.keys.insecure:
            _log.warning("insecure mode: everyone can forge tokens with the published key")
        _log.info("bridge started", results=", ".join(self._settings.topics.all_results), group=self._group)

    async def wait(self) -> None:
        """Wait until the bridge is asked to stop, or cannot go on; raises why it cannot."""
        await self._ended.wait()
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """Drain, commit, leave the group; returns when stopped. Stopping twice is fine."""
        self._ended.set()
        if self._opening is not None:
            self._opening.reschedule(asyncio.get_running_loop().time())
        async with self._stopping:
            if self._phase is Phase.STOPPED:
                return  # a second drain could settle no more, and would take as long again
            running, self._running = self._running, AsyncExitStack()
            self._phase = Phase.DRAINING
            async with running:
                await self._fetcher.pause()
                if self._failure is None:
                    await self._drain()
                self._deadline = StopDeadline("kallback-bridge", _STOP_TIMEOUT_S, _log)
            await self._context.supervisor.stop(self._deadline.remaining)
            self._phase = Phase.STOPPED
        _log.info("bridge stopped", **_summary(self.stats))

    async def _drain(self) -> None:
        self._summaries.flush()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.drain_timeout):
                await self._in_flight.drained()
        if self.stats.in_flight:
            records = self.stats.in_flight
            _log.warning("drain timed out: records not settled, they will be redelivered", records=records)

    async def _stop_component(self, name: str, stop: Callable[[], Awaitable[None]]) -> None:
        deadline = self._deadline or StopDeadline("kallback-bridge", _STOP_TIMEOUT_S, _log)
        await deadline.stop(name, stop)

    def _fail(self, error: Exception) -> None:
        """The bridge cannot go on; `wait` raises the first such error."""
        if self._failure is None:
            self._failure = error
            self._ended.set()
            _log.error("the bridge cannot go on: it stops", reason=str(error))

    async def _check_restate(self) -> bool:
        return await self._dependencies.check_restate(self._settings, self._context.log)

    def _make_consumer(self) -> Consumer:
        options = self._options.for_consumer()
        consumer = self._clients.consumer([*self._settings.topics.all_results], self._group, options)
        consumer.screen(self._screen)
        return consumer

    def _build_settler(self, on_settled: Callable[[Settled], None] | None) -> Settler:
        topics, clock = self._settings.topics, self._context.clocks.now
        dead_letters = DeadLetters(self._producer, topics.dead_letters, group=self._group, clock=clock)
        return Settler(
            self._producer,
            dead_letters,
            self._in_flight,
            self._context,
            outcomes_topic=topics.outcomes if self._options.outcomes else None,
            on_settled=on_settled,
        )

    def _topics(self) -> list[str]:
        topics = self._settings.topics
        progress = [topics.progress] if self._options.progress else []
        return [*topics.all_results, *self._written_topics(), *progress]

    def _written_topics(self) -> list[str]:
        topics = self._settings.topics
        return [topics.dead_letters, *([topics.outcomes] if self._options.outcomes else [])]


def _summary(stats: Stats) -> dict[str, int]:
    counts = {outcome.value: count for outcome, count in sorted(stats.outcomes.items())}
    return {"fetched": stats.fetched, "settled": stats.settled, "retries": stats.retries, **counts}
