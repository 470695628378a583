"""Gets flights to Restate: a fixed pool of senders, retries, and what to do while Restate is away.

Who owns what: `concurrency` sender tasks pull from one deque of ready flights; nothing else awaits the completer. A
flight is in exactly one place: ready, in a sender's hands, or on the heap of those that wait for their next attempt.
One timer at a time wakes for the heap, another for the next probe.

Order: none is promised. Ready flights leave oldest first; a failed one goes to the back.

Outage: a flight that fails waits for itself, the others go on. When several different ones fail in a row the
`Breaker` says *away*: senders park, one probe at a time goes out, and the listener is told, so that the bridge fetches
no more. The first success wakes everybody.

Cancel: stopping cancels the senders. Their flights may have been delivered; they are not settled, so Kafka hands them
out again, and Restate keeps the first completion.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kallback.bridge.breaker import Breaker, Flow
from kallback.bridge.completers import Completer
from kallback.bridge.flights import Flight
from kallback.bridge.replies import Accepted, Misconfigured, Rejected, Reply, Retry, TooLarge
from kallback.bridge.shared import Shared
from kallback.protocol import AccessDeniedError, ConfigurationError

Judgement = Accepted | Rejected | TooLarge
"""Replies that end an attempt for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who is told what becomes of flights; called from sender tasks, must not block.

    Attributes:
        judged: Restate has spoken about a flight.
        away: Restate takes nothing; flights wait.
        returned: Restate is back.
        broken: no completion can succeed until somebody fixes what the sentence says.
    """

    judged: Callable[[Flight, Judgement], None]
    away: Callable[[], None]
    returned: Callable[[], None]
    broken: Callable[[Exception], None]


class Dispatcher:
    """Sends flights until Restate has judged each.

    Args:
        completer: started and stopped by the dispatcher's owner.
        listener: who is told.
    """

    def __init__(self, completer: Completer, listener: Listener, shared: Shared) -> None:
        self._completer = completer
        self._listener = listener
        self._options = options = shared.options
        self._clocks = shared.clocks
        self._stats = shared.stats
        self._log = shared.log
        self._breaker = Breaker(options.backoff, options.away_after)
        self._ready: deque[Flight] = deque()
        self._waiting: list[tuple[float, int, Flight]] = []
        self._sequence = 0
        self._parked: deque[asyncio.Future[None]] = deque()
        self._senders: list[asyncio.Task[None]] = []
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._refused_since: float | None = None

    async def start(self) -> None:
        """Put the senders to work."""
        self._senders = [
            asyncio.create_task(self._send(), name=f"kallback-bridge-sender-{number}")
            for number in range(self._options.concurrency)
        ]
        for sender in self._senders:
            sender.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Cancel what is on its way; stopping twice is fine."""
        for timer in self._timers.values():
            timer.cancel()
        senders, self._senders = self._senders, []
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)

    def submit(self, flight: Flight) -> None:
        """Send this one as soon as a sender is free."""
        self._ready.append(flight)
        self._wake_one()

    def _ended(self, sender: asyncio.Task[None]) -> None:
        error = None if sender.cancelled() else sender.exception()
        if isinstance(error, Exception):
            self._listener.broken(error)

    async def _send(self) -> None:
        while True:
            batch, probe = await self._take()
            replies = await self._ask(batch)
            for flight, reply in zip(batch, replies, strict=True):
                self._handle(flight, reply, probe=probe)

    async def _take(self) -> tuple[list[Flight], bool]:
        """The next flights, as many as one call takes; while away one, as the probe."""
        while True:
            if self._ready and self._breaker.admits(self._time()):
                probe = self._breaker.flow is Flow.AWAY
                count = 1 if probe else min(self._completer.batch_limit, len(self._ready))
                return [self._ready.popleft() for _ in range(count)], probe
            parked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._parked.append(parked)
            await parked

    async def _ask(self, batch: Sequence[Flight]) -> Sequence[Reply]:
        self._stats.attempts += len(batch)
        try:
            replies = await self._completer.complete([flight.completion for flight in batch])
            if len(replies) == len(batch):
                return replies
            detail = f"the completer gave {len(replies)} replies to {len(batch)} completions"
        except Exception as error:  # noqa: BLE001 - a defect of a completer must not end a sender or lose a record
            detail = f"the completer failed: {type(error).__name__}: {error}"
        return [Retry("defect", detail) for _ in batch]

    def _handle(self, flight: Flight, reply: Reply, *, probe: bool) -> None:
        self._stats.replies[reply.label] += 1
        if isinstance(reply, Retry | Misconfigured):
            self._failed(flight, reply, probe=probe)
            return
        self._refused_since = None
        if self._breaker.succeeded():
            self._back()
        self._listener.judged(flight, reply)

    def _failed(self, flight: Flight, reply: Retry | Misconfigured, *, probe: bool) -> None:
        now = self._time()
        self._stats.retries += 1
        detail = reply.detail if isinstance(reply, Retry) else reply.sentence
        self._log.warning("a completion was not taken, trying again", kind=f"reply-{reply.label}", detail=detail)
        if self._breaker.failed(flight.identity, now, self._clocks.chance(), probe=probe):
            self._listener.away()
            self._log.warning("Restate is away, fetching stops until it is back", kind="away", detail=detail)
        if self._breaker.flow is Flow.AWAY:
            self._ready.append(flight)
            self._arm(self._wake_probe, self._breaker.until_probe(now))
        else:
            self._postpone(flight, reply, now)
        self._note_refusal(reply)

    def _postpone(self, flight: Flight, reply: Retry | Misconfigured, now: float) -> None:
        flight.failures += 1
        delay = self._options.backoff.delay(flight.failures, self._clocks.chance())
        if isinstance(reply, Retry) and reply.after is not None:
            delay = max(delay, min(reply.after, self._options.longest_retry_after))
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
            self._wake_one()

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

    def _back(self) -> None:
        while self._parked:
            self._wake_one()
        self._listener.returned()

    def _time(self) -> float:
        return asyncio.get_running_loop().time()

    def _wake_one(self) -> None:
        while self._parked:
            parked = self._parked.popleft()
            if not parked.done():
                parked.set_result(None)
                return

    def _arm(self, wake: Callable[[], None], delay: float) -> None:
        previous = self._timers.get(wake)
        if previous is not None:
            previous.cancel()
        self._timers[wake] = asyncio.get_running_loop().call_later(max(delay, 0.0), wake)
