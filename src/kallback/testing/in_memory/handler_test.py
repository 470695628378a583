"""Tests a handler without servers: Restate, Kafka and the clock are simulated in memory, the rest is the real code.

    handler ── the SDK's contexts and futures ── `InMemoryRestate` ◄── the real bridge ◄── results ── scripted worker
       └── the real `Callbacks` ── broker in memory ── task topics ─────────────────────────────────────┘

One event happens at a time, driven by the handler's waits: its steps, then published tasks, then answers. When nothing
else can happen, time advances to the next timer. So a timeout of a week takes no time, and each run is the same.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kallback.bridge import Accepted, Completion, Reply, Settled
from kallback.kafka import MemoryBroker, MemoryProducer, OutgoingRecord
from kallback.lifecycle import StartStop
from kallback.protocol import (
    Cancel,
    Codec,
    Keyring,
    Outcome,
    Problem,
    Token,
    UnverifiedError,
    completed_headers,
    failed_headers,
    read_claims,
    seal,
)
from kallback.protocol.links import token_in
from kallback.sdk import Callbacks
from kallback.sdk.callbacks import environment_of_callbacks
from kallback.sdk.handler_values import check_result, handler_of, received
from kallback.sdk.one_task import as_handler
from kallback.sdk.task_environment import redirect
from kallback.settings import GatewaySettings, KeySettings, Settings, Topics
from kallback.testing.errors import StuckHandlerError
from kallback.testing.in_memory.bridge import memory_bridge
from kallback.testing.in_memory.clock import START, VirtualTime
from kallback.testing.in_memory.context import Channel, MemoryContext
from kallback.testing.in_memory.monitor import SimulatedMonitor
from kallback.testing.in_memory.promises import SimulatedPromises
from kallback.testing.in_memory.restate import InMemoryRestate, Resources
from kallback.testing.in_memory.scripted_worker import ScriptedWorker

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

T = TypeVar("T")

_ANY: Final = Codec[Any](object)
_BRIDGE_TIMEOUT_S: Final = 10.0  # real seconds that the bridge may take; it needs milliseconds
_MAX_RECORD_BYTES: Final = 8_000_000


class HandlerTest(StartStop):
    """Runs handlers against a scripted worker.

        async with HandlerTest() as test:
            test.worker.on(prepare).completes(Prepared("B3"), after=timedelta(hours=1))
            assert await test.run(handler, order) == "B3"

    While `run` calls a handler, each `Callbacks` that the handler uses works for this test: its own settings, Kafka and
    keys are not used, and nothing needs to be replaced.

    Args:
        tracer_provider: as for `Callbacks`.
        more_results: topics of task types that have a `results_topic`, as KALLBACK_TOPICS_MORE_RESULTS names them.

    Attributes:
        callbacks: for a handler that has none of its own.
        worker: has the scripts.
        broker: the topics; with `available` False Kafka is unavailable.
        monitor: the simulated `TaskMonitor`; with `available` False it does not answer.
        state: of the virtual object or workflow: JSON by name.
        sent: one-way calls of other handlers: service, handler, argument.
        cancelled: ids of invocations that handlers cancelled with `ctx.cancel_invocation`, in their order.
        outcomes: the bridge's outcome of each result record.
    """

    def __init__(self, *, tracer_provider: TracerProvider | None = None, more_results: Iterable[str] = ()) -> None:
        self._time: Final = VirtualTime()
        self.broker: Final = MemoryBroker(clock=self._now)
        self._settings: Final = Settings(
            topics=Topics(more_results=frozenset(more_results)),
            keys=KeySettings(keyring=Keyring({"test": b"0" * 32})),
            gateway=GatewaySettings("https://answers.example.com"),
        )
        monitor = self._settings.services.monitor
        self.monitor: Final = SimulatedMonitor(monitor, lambda: int(self._now() * 1000), self._resolve)
        self.worker: Final = ScriptedWorker(self.broker, self._time, self.monitor)
        self.state: Final[dict[str, bytes]] = {}
        self.sent: Final[list[tuple[str, str, bytes]]] = []
        self.cancelled: Final[list[str]] = []
        self._promises: Final = SimulatedPromises()
        self.outcomes: Final[list[Outcome]] = []
        for topic in self._settings.topics.all():
            self.broker.create_topic(topic, largest=_MAX_RECORD_BYTES)
        self.callbacks: Final = Callbacks(
            self._settings,
            producer=MemoryProducer(self.broker),
            clock=self._now,
            services_elsewhere=True,
            tracer_provider=tracer_provider,
        )
        self._calls: Final[dict[tuple[str, str], Callable[[bytes], bytes]]] = {}
        self._restate: InMemoryRestate | None = None
        self._invocations: Final = itertools.count(1)
        self._invocation = 0
        self._trouble: Exception | None = None
        self._changed = asyncio.Event()
        self._bridge: Final = memory_bridge(
            self._settings, self.broker, now=self._now, complete=self._complete, settled=self._settled
        )

    @property
    def elapsed(self) -> timedelta:
        """The virtual time that has passed."""
        return timedelta(seconds=self._time.now - START)

    @property
    def cancels(self) -> list[Cancel]:
        """The cancels that the workers were sent."""
        return [Cancel.decode(each.value or b"") for each in self.broker.records(self._settings.topics.control)]

    def on_call(self, service: str, handler: str, answer: Callable[[bytes], bytes]) -> None:
        """Set the answer of another Restate handler: a function from bytes to bytes, as they travel."""
        self._calls[service, handler] = answer

    def after(self, length: timedelta, action: Callable[[], None]) -> None:
        """Run an action after a time, such as the return of Kafka.

        Raises:
            TypeError: it is an `async def`, which no one would await.
        """
        if inspect.iscoroutinefunction(action):
            raise TypeError("HandlerTest.after calls a plain function: an `async def` would not be awaited")
        self._time.after(length.total_seconds(), action)

    def complete(self, token: str, value: object = None, *, after: timedelta = timedelta(0)) -> None:
        """Complete a token that the handler has sent, as a person or another program does; `after` this time.

        Args:
            token: of an awakeable, or a link with it.
            value: anything that JSON can carry.
            after: simulated time.

        Raises:
            UnverifiedError: it is neither; `run` of the handler raises it, too.
        """
        headers = completed_headers(self._token(token))
        self._answer(OutgoingRecord(self._results, _ANY.encode(value), None, headers), after)

    def fail(self, token: str, problem: Problem, *, after: timedelta = timedelta(0)) -> None:
        """Fail a token that the handler has sent, or that of a link; raises as `complete`."""
        self._answer(OutgoingRecord(self._results, problem.encode(), None, failed_headers(self._token(token))), after)

    def resolve_promise(self, name: str, value: object = None, *, after: timedelta = timedelta(0)) -> None:
        """Resolve a durable promise of the workflow, as another handler of it does; `after` this time.

        A promise that has a value keeps it.
        """
        encoded = _ANY.encode(value)

        def resolve() -> None:
            self._promises.complete(name, encoded)

        self._time.after(after.total_seconds(), resolve)

    async def run(
        self,
        handler: Callable[..., Awaitable[T]],
        *arguments: Any,
        key: str = "",
        cancel_after: timedelta | None = None,
        repeat_awakeable_ids: bool = False,
    ) -> T:
        """Call a handler with a context and these arguments; returns its value or raises its error.

        Args:
            handler: decorated or not. A decorated one gets its argument as in production, through its serde.
            arguments: what the handler takes after its context.
            key: of the virtual object or workflow.
            cancel_after: cancel the invocation after this time.
            repeat_awakeable_ids: use the awakeable ids of the run before, as Restate does for a workflow that was
                purged and for an idempotency key that is used again. A late result of that run then comes to this one.

        Raises:
            TerminalError: the handler's own, those of tasks among them; or its serde cannot decode the argument.
            ConfigurationError: its argument or its result cannot cross Restate, such as a dataclass.
            StuckHandlerError: the handler waits for what can never happen.
            NotSimulatedError: the handler uses something that is not simulated here.
        """
        decorated = handler_of(handler)
        if decorated is not None:
            arguments = received(decorated, arguments)
        self._trouble = None
        if not (repeat_awakeable_ids and self._invocation):
            self._invocation = next(self._invocations)
        resources = Resources(
            self._time, self.monitor, self._calls, self.state, self.sent, self._promises, self.cancelled
        )
        restate = self._restate = InMemoryRestate(resources, self._invocation)
        if cancel_after is not None:
            self._time.after(cancel_after.total_seconds(), restate.cancel)
        context = MemoryContext(restate, key, self._now, Channel(self._step, self._changed.set))
        redirect(context, environment_of_callbacks(self.callbacks))
        try:
            result = await as_handler(handler(context, *arguments))
        finally:
            context.end()
            self._raise_trouble(restate.failure)  # also if the handler caught it
        if decorated is not None:
            check_result(decorated, result)
        return result

    def _raise_trouble(self, failure: Exception | None) -> None:
        for trouble in (self._trouble, failure):
            if trouble is not None:
                raise trouble

    async def run_pending(self) -> None:
        """Let everything happen that is still to come: answers that are late for their handler."""
        while await self._one():
            pass

    async def start(self) -> None:
        """Start the bridge."""
        await self._bridge.start()

    async def stop(self) -> None:
        """Stop the bridge; stopping twice is fine."""
        await self._bridge.stop()

    @property
    def _results(self) -> str:
        return self._settings.topics.results

    def _token(self, text: str) -> str:
        token = token_in(text)
        try:
            read_claims(token)
        except UnverifiedError as error:
            self._trouble = error
            raise
        return token

    def _answer(self, record: OutgoingRecord, after: timedelta) -> None:
        def send() -> None:
            self.broker.append(record)

        self._time.after(after.total_seconds(), send)

    def _now(self) -> float:
        return self._time.now

    async def _step(self) -> None:
        try:
            await self._happen()
        except Exception as error:
            self._trouble = error
            raise

    async def _happen(self) -> None:
        if self._restate is not None and self._restate.running:
            self._changed.clear()
            await self._changed.wait()
        elif not await self._one():
            raise StuckHandlerError(
                "the handler waits, and nothing can happen any more: script an answer, give the task a "
                "timeout, or resolve the promise"
            )

    async def _one(self) -> bool:
        return await self.worker.step() or await self._bridge_works() or self._time.jump()

    async def _bridge_works(self) -> bool:
        behind = sum(len(self.broker.records(each)) for each in self._settings.topics.all_results) > len(self.outcomes)
        if behind:
            self._changed.clear()
            try:
                async with asyncio.timeout(_BRIDGE_TIMEOUT_S):
                    await self._changed.wait()
            except TimeoutError:
                raise StuckHandlerError(
                    f"no outcome of a result within {_BRIDGE_TIMEOUT_S:g} s: start the test with `async with`"
                ) from None
        return behind

    def _settled(self, settled: Settled) -> None:
        self.outcomes.append(settled.outcome)
        self._changed.set()

    async def _complete(self, completion: Completion) -> Reply:
        target = completion.target
        if isinstance(target, Token):
            self._resolve(target.awakeable_id, seal(target.task_id, target.attempt, completion.answer))
        return Accepted()

    def _resolve(self, awakeable_id: str, envelope: bytes) -> None:
        restate = self._restate
        handle = None if restate is None else restate.awakeables.get(awakeable_id)
        if restate is not None and handle is not None:
            restate.complete(handle, envelope)
