"""Gets deliveries to Restate: how many at one time, retries, and what to do while Restate is away.

Who owns what: a delivery is in exactly one place: ready, with the completer, or on the heap of those that wait for
their next attempt. There are no tasks: an answer settles its deliveries and sends the next ones, in one callback on the
bridge's loop. One timer at a time wakes for the heap, another for the next probe.

Order: none is promised. Ready deliveries leave oldest first; a failed one goes to the back. With a completer that takes
batches, deliveries leave after everything that the same fetch brought is ready, so that the first batch is one.

Crowd: 429, 5xx and time-outs lower the number under way, successes raise it again (`ConcurrencyLimiter`).

Trouble of its own: a delivery that failed while others got through waits longer from time to time, and deliveries that
failed before take at most a quarter of what may be under way, so that requests that hang leave room for the others.

Outage: a delivery that fails waits for itself, the others go on. When several different ones fail in a row the
`CircuitBreaker` opens: nothing but one probe at a time goes out, and the listener is told, so that the bridge fetches
no more. Probes carry deliveries that have not failed by themselves, if there are any. The first success sends all that
may go. Deliveries in trouble of their own say nothing of Restate.

Cancel: after a stop answers change nothing. Their deliveries may have been delivered; they are not settled, so Kafka
hands them out again, and Restate keeps the first completion.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from kallback.bridge.completers.base import Completer
from kallback.bridge.completers.replies import Accepted, Misconfigured, Rejected, Reply, Retry, TooLarge
from kallback.bridge.context import BridgeContext
from kallback.bridge.dispatch.circuit_breaker import CircuitBreaker, CircuitState
from kallback.bridge.dispatch.concurrency import ConcurrencyLimiter
from kallback.bridge.in_flight.deliveries import Delivery, FailureKind
from kallback.protocol import AccessDeniedError, ConfigurationError

_UNSETTLED: Final = (Retry, Misconfigured)
_SHARE: Final = 4
_KNOWN: Final = 5
"""Failures after which a delivery in trouble of its own is no sign of a crowd."""
_LONGER: Final = 10

FinalReply = Accepted | Rejected | TooLarge
"""Replies that end an attempt for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who is told what becomes of deliveries; must not block.

    Attributes:
        judged: Restate has spoken about a delivery.
        failed: a delivery came back without a reply; says what that means.
        away: Restate takes nothing; deliveries wait.
        returned: Restate is back.
        broken: no completion can succeed until somebody fixes what the sentence says.
    """

    judged: Callable[[Delivery, FinalReply], None]
    failed: Callable[[Delivery, str], FailureKind]
    away: Callable[[], None]
    returned: Callable[[], None]
    broken: Callable[[Exception], None]


class _Sent(NamedTuple):
    """How a batch was sent: in which generation of the limiter, as a probe, from those that failed before."""

    generation: int
    probe: bool
    again: bool


class Dispatcher:
    """Sends deliveries until Restate has judged each.

    Args:
        completer: started and stopped by the dispatcher's owner.
        listener: who is told.
    """

    def __init__(self, completer: Completer, listener: Listener, context: BridgeContext) -> None:
        self._completer = completer
        self._batch_limit = completer.batch_limit
        self._listener = listener
        self._options = options = context.options
        self._clocks = context.clocks
        self._stats = context.stats
        self._log = context.log
        self._breaker = CircuitBreaker(options.backoff, options.unavailable_after)
        self._limiter = ConcurrencyLimiter(min(options.concurrency, completer.send_limit))
        self._stats.concurrency = self._limiter.limit
        self._ready: deque[Delivery] = deque()
        self._again: deque[Delivery] = deque()
        self._again_under_way = 0
        self._waiting: list[tuple[float, int, Delivery]] = []
        self._sequence = 0
        self._under_way = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._turn: asyncio.Handle | None = None
        self._refused_since: float | None = None

    async def start(self) -> None:
        """Begin to send."""
        self._loop = asyncio.get_running_loop()
        self._pump()

    async def stop(self) -> None:
        """Send no more, hear no more; stopping twice is fine."""
        self._loop = None
        for timer in self._timers.values():
            timer.cancel()

    def submit(self, delivery: Delivery) -> None:
        """Send this one as soon as it may go."""
        (self._again if delivery.failures else self._ready).append(delivery)
        if self._under_way >= self._limiter.limit:
            return
        if self._batch_limit == 1:
            self._pump()
        elif self._turn is None and self._loop is not None:
            self._turn = self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        self._pump()

    def _pump(self) -> None:
        """Send what may go now."""
        while self._under_way < self._limiter.limit and self._loop is not None and (queue := self._next()):
            flows = self._breaker.state is CircuitState.CLOSED
            if not flows and not self._breaker.admits(self._loop.time()):
                return
            count = min(self._batch_limit, len(queue)) if flows else 1
            batch = [queue.popleft()] if count == 1 else [queue.popleft() for _ in range(count)]
            self._send(batch, probe=not flows, again=queue is self._again)

    def _next(self) -> deque[Delivery]:
        """Whose turn it is: those that failed before, up to their share, else the others; empty if nobody may go."""
        if not self._again or (self._ready and self._breaker.state is CircuitState.OPEN):
            return self._ready
        share = max(1, self._limiter.limit // _SHARE)
        return self._again if self._again_under_way < share else self._ready

    def _send(self, batch: list[Delivery], *, probe: bool, again: bool) -> None:
        self._under_way += 1
        self._again_under_way += again
        self._stats.attempts += len(batch)
        answered = partial(self._answered, batch, _Sent(self._limiter.generation, probe, again))
        try:
            one = len(batch) == 1
            self._completer.send(
                (batch[0].completion,) if one else [delivery.completion for delivery in batch], answered
            )
        except Exception as error:  # noqa: BLE001 - a defect of a completer must not lose a record
            defect = Retry("defect", f"the completer failed: {type(error).__name__}: {error}")
            self._soon(partial(answered, [defect] * len(batch)))

    def _soon(self, callback: Callable[[], None]) -> None:
        if self._loop is not None:
            self._loop.call_soon(callback)

    def _answered(self, batch: Sequence[Delivery], sent: _Sent, replies: Sequence[Reply]) -> None:
        if self._loop is None:
            return
        self._under_way -= 1
        self._again_under_way -= sent.again
        if len(replies) != len(batch):
            detail = f"the completer gave {len(replies)} replies to {len(batch)} completions"
            replies = [Retry("defect", detail)] * len(batch)
        try:
            for delivery, reply in zip(batch, replies, strict=True):
                self._handle(delivery, reply, sent)
            self._pump()
        except Exception as error:  # noqa: BLE001 - whoever called has nobody to tell; the records are not done
            self._listener.broken(error)

    def _handle(self, delivery: Delivery, reply: Reply, sent: _Sent) -> None:
        self._stats.replies[reply.label] += 1
        if isinstance(reply, _UNSETTLED):
            self._on_failure(delivery, reply, sent)
        else:
            self._refused_since = None
            self._limiter.succeeded()
            if self._breaker.succeeded():
                self._listener.returned()
            self._listener.judged(delivery, reply)
        self._stats.concurrency = self._limiter.limit

    def _on_failure(self, delivery: Delivery, reply: Retry | Misconfigured, sent: _Sent) -> None:
        now = self._time()
        self._stats.retries += 1
        detail = reply.detail if isinstance(reply, Retry) else reply.sentence
        self._log.warning("a completion was not taken, trying again", kind=f"reply-{reply.label}", detail=detail)
        shared = isinstance(reply, Retry) and reply.shared
        kind = FailureKind.UNKNOWN if shared else self._listener.failed(delivery, detail)
        if (
            isinstance(reply, Retry)
            and reply.overloaded
            and (kind is FailureKind.UNKNOWN or delivery.failures < _KNOWN)
        ):
            self._limiter.overloaded(sent.generation)
        telling = sent.probe or kind is FailureKind.UNKNOWN
        if telling and self._breaker.failed(delivery.identity, now, self._clocks.random(), probe=sent.probe):
            self._listener.away()
            self._log.warning("Restate unavailable: fetching paused", kind="unavailable", detail=detail)
        if self._breaker.state is CircuitState.OPEN:
            if kind is not FailureKind.EXHAUSTED:
                (self._again if delivery.failures else self._ready).append(delivery)
            self._arm(self._wake_probe, self._breaker.until_probe(now))
        elif kind is not FailureKind.EXHAUSTED:
            self._postpone(delivery, reply, kind, now)
        self._note_refusal(reply)

    def _postpone(self, delivery: Delivery, reply: Retry | Misconfigured, kind: FailureKind, now: float) -> None:
        delivery.failures += 1
        delay = self._options.backoff.delay(delivery.failures, self._clocks.random())
        if kind is FailureKind.RECORD:
            delay *= min(delivery.failures, _LONGER)
        delay = self._options.heed(delay, reply.after if isinstance(reply, Retry) else None)
        self._sequence += 1
        heapq.heappush(self._waiting, (now + delay, self._sequence, delivery))
        self._arm(self._wake_waiting, self._waiting[0][0] - now)

    def _wake_waiting(self) -> None:
        now = self._time()
        while self._waiting and self._waiting[0][0] <= now:
            self.submit(heapq.heappop(self._waiting)[2])
        if self._waiting:
            self._arm(self._wake_waiting, self._waiting[0][0] - now)

    def _wake_probe(self) -> None:
        early = self._breaker.until_probe(self._time())  # a timer may fire a moment too soon
        if early > 0:
            self._arm(self._wake_probe, early)
        else:
            self._pump()

    def _note_refusal(self, reply: Retry | Misconfigured) -> None:
        """Refusals that go on and on, with nothing else in between, are a wrong setting."""
        if isinstance(reply, Retry):
            self._refused_since = None
            return
        now = self._clocks.monotonic()
        since = self._refused_since = now if self._refused_since is None else self._refused_since
        if now - since >= self._options.misconfigured_after:
            kind = AccessDeniedError if reply.denied else ConfigurationError
            self._listener.broken(
                kind(f"for {now - since:.0f} s nothing was delivered: {reply.sentence}. No result is lost")
            )

    def _time(self) -> float:
        return asyncio.get_running_loop().time()

    def _arm(self, wake: Callable[[], None], delay: float) -> None:
        previous = self._timers.get(wake)
        if previous is not None:
            previous.cancel()
        self._timers[wake] = asyncio.get_running_loop().call_later(max(delay, 0.0), wake)
