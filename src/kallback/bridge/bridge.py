"""The bridge: turns result records into completions of awakeables, each record into exactly one outcome.

    fetcher ──records──► router ──deliveries──► dispatcher ──► completer ──► Restate
                            │                    │
                            ▼                    ▼ judgements
                         settler ◄───────────────┘   dead letter, outcome record, then done

Ownership: the bridge starts and stops the parts; `InFlightLimit` bounds what is between fetch and done; all parts run
on one event loop and share no lock. Nothing is durable here: Kafka redelivers what is not done.

Start: keys, Restate, topics are looked at before anything is fetched. Stop: fetching ends, what is in flight gets
`drain_timeout`, then the positions are committed and the group is left. A fatal error stops without draining: nothing
in flight could get through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Final

from kallback.bridge.completers.replies import Accepted
from kallback.bridge.context import BridgeContext
from kallback.bridge.dependencies import Dependencies
from kallback.bridge.dispatch.dispatcher import Dispatcher, FinalReply, Listener
from kallback.bridge.in_flight.deliveries import Delivery, FailureKind
from kallback.bridge.in_flight.limits import Backlog, InFlightLimit
from kallback.bridge.in_flight.parking import Parking
from kallback.bridge.monitoring import Monitoring
from kallback.bridge.options import BridgeOptions
from kallback.bridge.pipeline.fetcher import Fetcher
from kallback.bridge.pipeline.late_sender import LateSender
from kallback.bridge.pipeline.router import Places, ResultRouter
from kallback.bridge.pipeline.settler import Scribe, Settler
from kallback.bridge.results.verify import Trust
from kallback.bridge.stats import Settled, Stats
from kallback.health import Phase
from kallback.kafka import Consumer, DeadLetters, GroupStatus
from kallback.lifecycle import StartStop
from kallback.settings import Settings, named_log

_log: Final = named_log("kallback.bridge")


class Bridge(StartStop):
    """One bridge of a group; several share the results topic's partitions.

        await Bridge(Settings.from_env()).run()

    Args:
        settings: Kafka, Restate, topics and keys.
        options: how it behaves.
        dependencies: what it is put together from; the defaults are the real ones.
        on_settled: told of every record after its outcome is durable; must not block.

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
        self._settings = settings
        keyring = settings.keys.require()
        self._dependencies = dependencies = dependencies or Dependencies()
        self._context = BridgeContext(options or BridgeOptions(), dependencies.clocks)
        self._options = self._context.options
        self._group = self._options.group_for(settings.topics.results)
        self._completer = dependencies.completer(settings, self._context.options)
        self._producer = dependencies.producer(settings)
        self._in_flight = InFlightLimit(self._context)
        self._settler = Settler(
            self._scribe(), self._in_flight, self._context, on_settled=on_settled, on_fatal=self._on_fatal
        )
        self._dispatcher = Dispatcher(self._completer, self._listener(), self._context)
        trust = Trust(keyring, settings.keys.audience, self._options.allow_bare_awakeables)
        self._parking = Parking(self._in_flight, self._context)
        self._late = LateSender(
            dependencies.handlers(settings), self._parking, self._settler.settle, context=self._context
        )
        places = Places(self._in_flight, self._dispatcher, self._late, self._settler, self._parking)
        self._router = ResultRouter(trust, places, context=self._context)
        self._fetcher = Fetcher(
            self._make_consumer, self._router.take, self._in_flight, self._context, on_fatal=self._on_fatal
        )
        self._monitoring = Monitoring(
            settings, dependencies, trust, self._context, results=self._fetcher.group_status, on_fatal=self._on_fatal
        )
        self._running = AsyncExitStack()
        self._phase = Phase.STARTING
        self._check: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._ending = asyncio.Event()
        self._stopping = asyncio.Lock()

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
        """Where in its life it is."""
        return self._phase

    def group_status(self) -> GroupStatus | None:
        """How it stands in its group; None while it has no consumer."""
        return self._fetcher.group_status()

    def backlog(self) -> Backlog:
        """What is in flight, by age and partition."""
        return self._in_flight.backlog()

    async def run(self) -> None:
        """Start, and go on until `stop`. Cancelling it (Ctrl-C under `asyncio.run`) drains and commits, too.

        `kallback bridge` runs a bridge as a process that minds SIGTERM and SIGINT.

        Raises:
            ConfigurationError: something must be set differently; the sentence says what.
            KafkaUnavailableError: no broker answers at the start.
        """
        async with self:
            await self.wait()

    async def start(self) -> None:
        """Look at everything, then begin to fetch; raises as `run`."""
        async with AsyncExitStack() as starting:
            await self._dependencies.check_restate(self._settings, self._context.log)
            await self._producer.start()
            starting.push_async_callback(self._producer.stop)
            await self._dependencies.check_topics(self._settings.kafka, self._topics())
            starting.push_async_callback(self._completer.stop)
            await self._completer.start()
            starting.push_async_callback(self._fetcher.stop)
            starting.push_async_callback(self._settler.stop)
            await self._settler.start()
            starting.push_async_callback(self._late.stop)
            await self._late.start()
            starting.push_async_callback(self._dispatcher.stop)
            await self._dispatcher.start()
            await self._fetcher.start()
            if self._options.progress:
                starting.push_async_callback(self._monitoring.stop)
                await self._monitoring.start()
            self._running = starting.pop_all()
        self._phase = Phase.RUNNING
        if self._settings.keys.insecure:
            _log.warning("insecure mode: anybody can forge tokens with the published key")
        _log.info("bridge started", results=self._settings.topics.results, group=self._group)

    async def wait(self) -> None:
        """Wait until the bridge is asked to end, or cannot go on; raises why it cannot."""
        await self._ending.wait()
        if self._error is not None:
            raise self._error

    async def stop(self) -> None:
        """Drain, commit, leave; returns when stopped. Stopping twice is fine."""
        self._ending.set()
        async with self._stopping:
            if self._phase is Phase.STOPPED:
                return  # what could not be settled then cannot be now: a second drain would only take as long again
            running, self._running = self._running, AsyncExitStack()
            self._phase = Phase.DRAINING
            async with running:
                await self._fetcher.pause()
                await self._end_check()
                if self._error is None:
                    await self._drain()
            self._phase = Phase.STOPPED
        _log.info("bridge stopped", **_summary(self.stats))

    async def _drain(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.drain_timeout):
                await self._in_flight.drained()
        if self.stats.in_flight:
            _log.warning("not everything in flight could be settled, it comes again", records=self.stats.in_flight)

    def _listener(self) -> Listener:
        return Listener(
            judged=self._on_reply,
            failed=self._on_failure,
            away=self._on_unavailable,
            returned=self._on_recovered,
            broken=self._on_fatal,
        )

    def _on_reply(self, delivery: Delivery, reply: FinalReply) -> None:
        if isinstance(reply, Accepted):
            written_ms = delivery.fetched.record.timestamp_ms
            self._context.stats.by_task_type.accept(delivery.completion.target, written_ms, self._context.clocks.now())
        self._router.judged(delivery, reply)

    def _on_failure(self, delivery: Delivery, why: str) -> FailureKind:
        self._in_flight.allow_probe()
        return self._router.failed(delivery, why)

    def _on_unavailable(self) -> None:
        self._context.stats.unavailable = True
        self._in_flight.throttle()

    def _on_recovered(self) -> None:
        """Restate is back; perhaps it is another one."""
        self._context.stats.unavailable = False
        _log.info("Restate available again: fetching resumed")
        self._in_flight.restore()
        if self._check is None or self._check.done():
            self._check = asyncio.create_task(self._look_again(), name="kallback-bridge-check")

    def _on_fatal(self, error: Exception) -> None:
        """The bridge cannot go on; `wait` raises the first such error."""
        if self._error is None:
            self._error = error
            _log.error("the bridge cannot go on", reason=str(error))
        self._ending.set()

    async def _look_again(self) -> None:
        try:
            await self._dependencies.check_restate(self._settings, self._context.log)
        except Exception as error:  # noqa: BLE001 - told to whoever waits for the bridge
            self._on_fatal(error)

    async def _end_check(self) -> None:
        check, self._check = self._check, None
        if check is not None:
            check.cancel()
            await asyncio.gather(check, return_exceptions=True)

    def _make_consumer(self) -> Consumer:
        return self._dependencies.consumer(self._settings, self._options)

    def _scribe(self) -> Scribe:
        topics = self._settings.topics
        letters = DeadLetters(
            self._producer, topics.dead_letters, group=self._group, clock=self._dependencies.clocks.now
        )
        return Scribe(self._producer, letters, topics.outcomes if self._options.outcomes else None)

    def _topics(self) -> list[str]:
        topics = self._settings.topics
        outcomes = [topics.outcomes] if self._options.outcomes else []
        progress = [topics.progress] if self._options.progress else []
        return [topics.results, topics.dead_letters, *outcomes, *progress]


def _summary(stats: Stats) -> dict[str, int]:
    counts = {outcome.value: count for outcome, count in sorted(stats.outcomes.items())}
    return {"fetched": stats.fetched, "settled": stats.settled, "retries": stats.retries, **counts}
