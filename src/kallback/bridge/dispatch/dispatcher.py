"""Sends deliveries to Restate: how many at a time, in which order, and what to do while Restate is unavailable.

Ownership: a delivery is in exactly one place: in a queue of those that are ready (new ones, and retries), with the
completer, or in the `RetryQueue` until its next attempt. There are no tasks: a reply settles its deliveries and sends
the next ones, in one callback on the bridge's loop. There are three timers: for the retries, the next probe, and what
is held after an outage.

Order: none is promised. Ready deliveries leave oldest first; a failed one goes to the back. With a completer that takes
batches, deliveries leave after everything that the same fetch brought is ready, so that the first batch is one.

Overload: 429, 5xx and timeouts lower the number of concurrent sends, successes raise it (`ConcurrencyLimiter`).

Retries: a delivery that failed while others succeeded waits longer each time. Retries take at most a quarter of the
sends and of the bytes under way (`UnderWay`); where that is less than one send, at most a quarter of the time. So
requests that hang never stop the new ones.

Outage: each failed send counts once, however many deliveries it carried. When several different ones fail in a row, the
`CircuitBreaker` opens: nothing but a few probes is sent, and the listener pauses fetching. Probes prefer new
deliveries, and say nothing about overload. The first success sends everything that may go: what is for a part of
Restate that has not answered since is held, but for a little (`UnprovenRanges`). After two minutes what is held goes
as retries do: each one has failures to count then, and can be parked. Failures of the kind `RECORD` say nothing about
Restate.

Cancellation: after `stop` replies change nothing. Their deliveries may have been completed; they are not settled, so
Kafka redelivers their records, and Restate keeps the first completion.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple, Protocol

from kallback.bridge.completers.base import Completer
from kallback.bridge.completers.replies import Accepted, Misconfigured, Rejected, Reply, Retry, TooLarge
from kallback.bridge.context import BridgeContext
from kallback.bridge.dispatch.circuit_breaker import CircuitBreaker
from kallback.bridge.dispatch.concurrency import ConcurrencyLimiter
from kallback.bridge.dispatch.retry_queue import RetryQueue
from kallback.bridge.dispatch.undelivered import UndeliveredTimer
from kallback.bridge.dispatch.under_way import UnderWay
from kallback.bridge.dispatch.unproven_ranges import UnprovenRanges
from kallback.bridge.in_flight.deliveries import Delivery
from kallback.bridge.in_flight.parking import FailureKind

_NOT_FINAL: Final = (Retry, Misconfigured)
_BATCH_BYTES: Final = 1024 * 1024  # a batch of more would be posted in several requests, one after the other
_NEW_PART: Final = 3  # of the time: so many times as long as a retry took that was the only send
_KNOWN_FAILURES: Final = 5  # after so many failures a delivery's own trouble is no sign of overload
_MAX_DELAY_FACTOR: Final = 10
_LONGEST_HELD_S: Final = 120.0  # on an overloaded machine the last part had its leader after 82 s
_LONGEST_BETWEEN_PROBES_S: Final = 0.25  # a hundred bridges send 530 a second then, which Restate hardly notices

FinalReply = Accepted | Rejected | TooLarge
"""Replies that end a delivery's attempts."""


class DeliveryListener(Protocol):
    """Who is told what becomes of deliveries. Calls must not block."""

    def on_reply(self, delivery: Delivery, reply: FinalReply) -> None:
        """Restate accepted or refused a delivery."""
        ...

    def on_failure(self, delivery: Delivery, detail: str) -> FailureKind:
        """A delivery came back without a final reply; return what that means."""
        ...

    def on_unavailable(self) -> None:
        """Restate is unavailable: deliveries wait."""
        ...

    def on_recovered(self) -> None:
        """Restate is available again."""
        ...

    def on_fatal(self, error: Exception) -> None:
        """No completion can succeed before the operator does what the sentence says."""
        ...


class _SendInfo(NamedTuple):
    """How a batch was sent: in which generation of the limiter, as a probe, as a retry, since when (retries only).

    Attributes:
        size: bytes of its records.
    """

    generation: int
    probe: bool
    retry: bool
    since: float
    size: int


class _Failure(NamedTuple):
    """A delivery that came back without a final reply."""

    delivery: Delivery
    reply: Retry | Misconfigured
    kind: FailureKind


class Dispatcher:
    """Sends deliveries until each has a final reply, or its retry budget is used up.

    Args:
        completer: started and stopped by the dispatcher's owner.
    """

    def __init__(self, completer: Completer, context: BridgeContext) -> None:
        self._completer = completer
        self._batch_limit = completer.batch_limit
        self._options = options = context.options
        self._clocks = context.clocks
        self._stats = context.stats
        self._log = context.log
        probing = replace(options.backoff, longest=min(options.backoff.longest, _LONGEST_BETWEEN_PROBES_S))
        self._breaker = CircuitBreaker(probing, options.unavailable_after)
        self._limiter = ConcurrencyLimiter(min(options.concurrency, completer.send_limit))
        self._undelivered = UndeliveredTimer(options.misconfigured_after, context.clocks.monotonic)
        self._stats.concurrency = self._limiter.limit
        self._ready: deque[Delivery] = deque()
        self._retries: deque[Delivery] = deque()
        self._waiting = RetryQueue(self.submit, context.supervisor)
        self._guarded_pump = context.supervisor.guard("the dispatcher", self._pump)
        self._guarded_release = context.supervisor.guard("the release of held deliveries", self._release_held)
        self._guarded_probe = context.supervisor.guard("the probe timer", self._probe)
        self._under_way = UnderWay()
        self._unproven: UnprovenRanges | None = None
        self._new_first_until = 0.0
        self._listener: DeliveryListener | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._probe_timer: asyncio.TimerHandle | None = None
        self._release_timer: asyncio.TimerHandle | None = None
        self._pump_scheduled = False

    async def start(self, listener: DeliveryListener) -> None:
        """Begin to send, and report to `listener`."""
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._pump()

    async def stop(self) -> None:
        """Send nothing more, and ignore replies; stopping twice is fine."""
        self._loop = None
        self._waiting.stop()
        for timer in (self._probe_timer, self._release_timer):
            if timer is not None:
                timer.cancel()

    def submit(self, delivery: Delivery) -> None:
        """Send a delivery as soon as it may go."""
        (self._retries if delivery.failures else self._ready).append(delivery)
        if self._under_way.sends >= self._limiter.limit:
            return
        if self._batch_limit == 1:
            self._pump()
        elif not self._pump_scheduled and self._loop is not None:
            self._pump_scheduled = True
            self._loop.call_soon(self._guarded_pump)

    def _pump(self) -> None:
        """Send what may go now."""
        self._pump_scheduled = False
        while self._under_way.sends < self._limiter.limit and self._loop is not None and (queue := self._next_queue()):
            closed = self._breaker.is_closed
            if not closed and not self._breaker.admits(self._loop.time()):
                return
            batch, size = _take(queue, self._batch_limit if closed else 1)
            if self._unproven is not None and self._unproven.holds(batch[0]):
                continue
            self._send(batch, size, probe=not closed, retry=queue is self._retries)
            if not closed:
                self._arm_probe(self._breaker.until_probe(self._loop.time()))

    def _next_queue(self) -> deque[Delivery]:
        """Return the queue whose turn it is: retries up to their share, else new ones; empty if none may go."""
        closed = self._breaker.is_closed
        ready = self._ready if self._under_way.admits_new or not closed else _NONE
        if not self._retries:
            return ready
        if ready and (not closed or self._must_prefer_new()):
            return ready
        return self._retries if self._under_way.admits_retry(self._limiter.limit) else ready

    def _must_prefer_new(self) -> bool:
        """Return whether one retry would take all sends, and retries have had their part of the time."""
        return self._limiter.limit == 1 and asyncio.get_running_loop().time() < self._new_first_until

    def _send(self, batch: list[Delivery], size: int, *, probe: bool, retry: bool) -> None:
        self._under_way.add(size, retry=retry)
        self._stats.attempts += len(batch)
        since = asyncio.get_running_loop().time() if retry else 0.0
        answered = partial(self._answered, batch, _SendInfo(self._limiter.generation, probe, retry, since, size))
        one = len(batch) == 1
        completions = (batch[0].completion,) if one else [delivery.completion for delivery in batch]
        try:
            self._completer.send(completions, answered)
        except Exception as error:  # noqa: BLE001 - a defect of a completer must not lose a record
            defect = Retry("defect", f"the completer failed: {type(error).__name__}: {error}")
            self._soon(partial(answered, [defect] * len(batch)))

    def _soon(self, callback: Callable[[], None]) -> None:
        if self._loop is not None:
            self._loop.call_soon(callback)

    def _answered(self, batch: Sequence[Delivery], sent: _SendInfo, replies: Sequence[Reply]) -> None:
        listener = self._listener
        if self._loop is None or listener is None:
            return
        self._under_way.remove(sent.size, retry=sent.retry)
        if sent.retry:
            now = self._loop.time()
            self._new_first_until = now + (now - sent.since) * _NEW_PART
        if len(replies) != len(batch):
            detail = f"the completer gave {len(replies)} replies to {len(batch)} completions"
            replies = [Retry("defect", detail)] * len(batch)
        try:
            failures: list[_Failure] | None = None
            for delivery, reply in zip(batch, replies, strict=True):
                self._stats.replies[reply.label] += 1
                if isinstance(reply, _NOT_FINAL):
                    failures = failures or []
                    failures.append(_Failure(delivery, reply, self._assess(delivery, reply, sent, listener)))
                else:
                    self._ended(delivery, reply, listener)
            if failures is not None:
                self._handle_failures(failures, sent, listener)
            if self._unproven is not None:
                self._let_go(self._unproven, batch[0], final=failures is None)
            self._stats.concurrency = self._limiter.limit
            self._pump()
        except Exception as error:  # noqa: BLE001 - the completer that calls this cannot handle it; nothing is settled
            listener.on_fatal(error)

    def _ended(self, delivery: Delivery, reply: FinalReply, listener: DeliveryListener) -> None:
        self._undelivered.clear()
        self._stats.undelivered = None
        self._limiter.succeeded()
        if self._breaker.succeeded():
            self._begin_to_hold()
            listener.on_recovered()
        listener.on_reply(delivery, reply)

    def _assess(
        self, delivery: Delivery, reply: Retry | Misconfigured, sent: _SendInfo, listener: DeliveryListener
    ) -> FailureKind:
        """Count a failure, and return what it means."""
        self._stats.retries += 1
        self._log.warning("a completion was not accepted, retrying", kind=f"reply-{reply.label}", detail=reply.detail)
        if isinstance(reply, Misconfigured):
            self._note_undelivered(reply)
            return listener.on_failure(delivery, reply.detail)
        kind = FailureKind.UNKNOWN if reply.shared else listener.on_failure(delivery, reply.detail)
        if kind is FailureKind.UNKNOWN:
            self._note_undelivered(reply)
        if reply.overloaded and not sent.probe and (kind is FailureKind.UNKNOWN or delivery.failures < _KNOWN_FAILURES):
            self._limiter.overloaded(sent.generation)
        return kind

    def _note_undelivered(self, reply: Retry | Misconfigured) -> None:
        """Log what is wrong when nothing else arrives, and try on: a lost route looks like an outage."""
        sentence = self._undelivered.failed(reply)
        if sentence is not None:
            self._stats.undelivered = sentence
            self._log.error("Restate accepts no completion: trying on", kind="undelivered", reason=sentence)

    def _handle_failures(self, failures: list[_Failure], sent: _SendInfo, listener: DeliveryListener) -> None:
        """Tell the circuit breaker once for the whole send, then put each delivery where it waits."""
        now = asyncio.get_running_loop().time()
        counting = [each for each in failures if sent.probe or each.kind is FailureKind.UNKNOWN]
        if counting and self._breaker.failed(
            counting[0].delivery.identity, now, self._clocks.random(), probe=sent.probe
        ):
            self._put_back(self._unproven.release() if self._unproven is not None else ())
            self._unproven = None
            listener.on_unavailable()
            detail = counting[0].reply.detail
            self._log.warning("Restate unavailable: fetching paused", kind="unavailable", detail=detail)
        for each in failures:
            if each.kind is FailureKind.EXHAUSTED:
                continue
            if self._breaker.is_closed:
                self._postpone(each, now)
            else:
                self._put_back([each.delivery])
        if not self._breaker.is_closed:
            self._arm_probe(self._breaker.until_probe(now))

    def _let_go(self, unproven: UnprovenRanges, answered: Delivery, *, final: bool) -> None:
        self._put_back(unproven.answered(answered, final=final))
        if unproven.all_proven:
            self._unproven = None

    def _begin_to_hold(self) -> None:
        if self._batch_limit == 1:
            self._unproven = UnprovenRanges()
            if self._release_timer is not None:
                self._release_timer.cancel()
            self._release_timer = asyncio.get_running_loop().call_later(_LONGEST_HELD_S, self._guarded_release)

    def _release_held(self) -> None:
        """Send what is held as retries, so that it takes no more than their share from the others."""
        if self._unproven is None:
            return
        held, self._unproven = self._unproven.release(), None
        self._retries.extend(held)
        self._pump()

    def _put_back(self, deliveries: Iterable[Delivery]) -> None:
        for each in deliveries:
            (self._retries if each.failures else self._ready).append(each)

    def _postpone(self, failure: _Failure, now: float) -> None:
        delivery, reply = failure.delivery, failure.reply
        delivery.failures += 1
        delay = self._options.backoff.delay(delivery.failures, self._clocks.random())
        if failure.kind is FailureKind.RECORD:
            delay *= min(delivery.failures, _MAX_DELAY_FACTOR)
        asked = reply.after if isinstance(reply, Retry) else None
        self._waiting.add(delivery, now + self._options.delay_of(delay, asked))

    def _probe(self) -> None:
        early = self._breaker.until_probe(asyncio.get_running_loop().time())  # a timer may fire a moment too soon
        if early > 0:
            self._arm_probe(early)
        else:
            self._pump()

    def _arm_probe(self, delay: float) -> None:
        if self._probe_timer is not None:
            self._probe_timer.cancel()
        self._probe_timer = asyncio.get_running_loop().call_later(delay, self._guarded_probe)


_NONE: Final[deque[Delivery]] = deque()


def _take(queue: deque[Delivery], count: int) -> tuple[list[Delivery], int]:
    """Take deliveries off a queue, at least one, as long as they make one request; with the bytes of their records."""
    first = queue.popleft()
    batch, size = [first], first.fetched.size
    while queue and len(batch) < count and size < _BATCH_BYTES:
        delivery = queue.popleft()
        batch.append(delivery)
        size += delivery.fetched.size
    return batch, size
