"""Gets flights to Restate: how many at one time, retries, and what to do while Restate is away.

Who owns what: a flight is in exactly one place: ready, with the completer, or on the heap of those that wait for their
next attempt. There are no tasks: an answer settles its flights and sends the next ones, in one callback on the
bridge's loop. One timer at a time wakes for the heap, another for the next probe.

Order: none is promised. Ready flights leave oldest first; a failed one goes to the back. With a completer that takes
batches, flights leave after everything that the same fetch brought is ready, so that the first batch is one.

Crowd: 429, 5xx and time-outs lower the number under way, successes raise it again (`Pace`).

Trouble of its own: a flight that failed while others got through waits longer from time to time, and flights that
failed before take at most a quarter of what may be under way, so that requests that hang leave room for the others.

Outage: a flight that fails waits for itself, the others go on. When several different ones fail in a row the
`Breaker` says *away*: nothing but one probe at a time goes out, and the listener is told, so that the bridge fetches
no more. Probes carry flights that have not failed by themselves, if there are any. The first success sends all that
may go. Flights in trouble of their own say nothing of Restate.

Cancel: after a stop answers change nothing. Their flights may have been delivered; they are not settled, so Kafka
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
from kallback.bridge.context import Shared
from kallback.bridge.dispatch.circuit_breaker import Breaker, Flow
from kallback.bridge.dispatch.concurrency import Pace
from kallback.bridge.in_flight.deliveries import Flight, Setback
from kallback.protocol import AccessDeniedError, ConfigurationError

_UNSETTLED: Final = (Retry, Misconfigured)
_SHARE: Final = 4
_KNOWN: Final = 5
"""Failures after which a flight in trouble of its own is no sign of a crowd."""
_LONGER: Final = 10

Judgement = Accepted | Rejected | TooLarge
"""Replies that end an attempt for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who is told what becomes of flights; must not block.

    Attributes:
        judged: Restate has spoken about a flight.
        failed: a flight came back without a judgement; says what that means.
        away: Restate takes nothing; flights wait.
        returned: Restate is back.
        broken: no completion can succeed until somebody fixes what the sentence says.
    """

    judged: Callable[[Flight, Judgement], None]
    failed: Callable[[Flight, str], Setback]
    away: Callable[[], None]
    returned: Callable[[], None]
    broken: Callable[[Exception], None]


class _Sent(NamedTuple):
    """How a batch was sent: in which era of the pace, as a probe, from those that failed before."""

    era: int
    probe: bool
    again: bool


class Dispatcher:
    """Sends flights until Restate has judged each.

    Args:
        completer: started and stopped by the dispatcher's owner.
        listener: who is told.
    """

    def __init__(self, completer: Completer, listener: Listener, shared: Shared) -> None:
        self._completer = completer
        self._batch_limit = completer.batch_limit
        self._listener = listener
        self._options = options = shared.options
        self._clocks = shared.clocks
        self._stats = shared.stats
        self._log = shared.log
        self._breaker = Breaker(options.backoff, options.away_after)
        self._pace = Pace(min(options.concurrency, completer.send_limit))
        self._stats.concurrency = self._pace.limit
        self._ready: deque[Flight] = deque()
        self._again: deque[Flight] = deque()
        self._again_under_way = 0
        self._waiting: list[tuple[float, int, Flight]] = []
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

    def submit(self, flight: Flight) -> None:
        """Send this one as soon as it may go."""
        (self._again if flight.failures else self._ready).append(flight)
        if self._under_way >= self._pace.limit:
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
        while self._under_way < self._pace.limit and self._loop is not None and (queue := self._next()):
            flows = self._breaker.flow is Flow.FLOWING
            if not flows and not self._breaker.admits(self._loop.time()):
                return
            count = min(self._batch_limit, len(queue)) if flows else 1
            batch = [queue.popleft()] if count == 1 else [queue.popleft() for _ in range(count)]
            self._send(batch, probe=not flows, again=queue is self._again)

    def _next(self) -> deque[Flight]:
        """Whose turn it is: those that failed before, up to their share, else the others; empty if nobody may go."""
        if not self._again or (self._ready and self._breaker.flow is Flow.AWAY):
            return self._ready
        share = max(1, self._pace.limit // _SHARE)
        return self._again if self._again_under_way < share else self._ready

    def _send(self, batch: list[Flight], *, probe: bool, again: bool) -> None:
        self._under_way += 1
        self._again_under_way += again
        self._stats.attempts += len(batch)
        answered = partial(self._answered, batch, _Sent(self._pace.era, probe, again))
        try:
            one = len(batch) == 1
            self._completer.send((batch[0].completion,) if one else [flight.completion for flight in batch], answered)
        except Exception as error:  # noqa: BLE001 - a defect of a completer must not lose a record
            defect = Retry("defect", f"the completer failed: {type(error).__name__}: {error}")
            self._soon(partial(answered, [defect] * len(batch)))

    def _soon(self, callback: Callable[[], None]) -> None:
        if self._loop is not None:
            self._loop.call_soon(callback)

    def _answered(self, batch: Sequence[Flight], sent: _Sent, replies: Sequence[Reply]) -> None:
        if self._loop is None:
            return
        self._under_way -= 1
        self._again_under_way -= sent.again
        if len(replies) != len(batch):
            detail = f"the completer gave {len(replies)} replies to {len(batch)} completions"
            replies = [Retry("defect", detail)] * len(batch)
        try:
            for flight, reply in zip(batch, replies, strict=True):
                self._handle(flight, reply, sent)
            self._pump()
        except Exception as error:  # noqa: BLE001 - whoever called has nobody to tell; the records are not done
            self._listener.broken(error)

    def _handle(self, flight: Flight, reply: Reply, sent: _Sent) -> None:
        self._stats.replies[reply.label] += 1
        if isinstance(reply, _UNSETTLED):
            self._failed(flight, reply, sent)
        else:
            self._refused_since = None
            self._pace.succeeded()
            if self._breaker.succeeded():
                self._listener.returned()
            self._listener.judged(flight, reply)
        self._stats.concurrency = self._pace.limit

    def _failed(self, flight: Flight, reply: Retry | Misconfigured, sent: _Sent) -> None:
        now = self._time()
        self._stats.retries += 1
        detail = reply.detail if isinstance(reply, Retry) else reply.sentence
        self._log.warning("a completion was not taken, trying again", kind=f"reply-{reply.label}", detail=detail)
        shared = isinstance(reply, Retry) and reply.shared
        setback = Setback.FRESH if shared else self._listener.failed(flight, detail)
        if isinstance(reply, Retry) and reply.crowded and (setback is Setback.FRESH or flight.failures < _KNOWN):
            self._pace.crowded(sent.era)
        telling = sent.probe or setback is Setback.FRESH
        if telling and self._breaker.failed(flight.identity, now, self._clocks.chance(), probe=sent.probe):
            self._listener.away()
            self._log.warning("Restate is away, fetching stops until it is back", kind="away", detail=detail)
        if self._breaker.flow is Flow.AWAY:
            if setback is not Setback.GIVEN_UP:
                (self._again if flight.failures else self._ready).append(flight)
            self._arm(self._wake_probe, self._breaker.until_probe(now))
        elif setback is not Setback.GIVEN_UP:
            self._postpone(flight, reply, setback, now)
        self._note_refusal(reply)

    def _postpone(self, flight: Flight, reply: Retry | Misconfigured, setback: Setback, now: float) -> None:
        flight.failures += 1
        delay = self._options.backoff.delay(flight.failures, self._clocks.chance())
        if setback is Setback.OWN:
            delay *= min(flight.failures, _LONGER)
        delay = self._options.heed(delay, reply.after if isinstance(reply, Retry) else None)
        self._sequence += 1
        heapq.heappush(self._waiting, (now + delay, self._sequence, flight))
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
