"""The number under way follows what Restate can take."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.unit.bridge.dispatch.environment import DispatcherEnv
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import RecordFactory

from kallback.bridge import Accepted, Backoff, BridgeOptions, Completion, FunctionCompleter, Reply, Retry
from kallback.bridge.completers.base import Answered
from kallback.bridge.in_flight.parking import FailureKind
from kallback.testing.polling import eventually

QUICK = Backoff(first=0.001, longest=0.01)
OVERLOADED = Retry("429", "busy", overloaded=True)


async def test_overload_lowers_the_concurrency_and_successes_raise_it(env: BridgeEnv, make: RecordFactory) -> None:
    """Down at once, up again to what is configured; the gauge shows both."""
    env.reply = lambda _: OVERLOADED
    env.broker.append(make.completed())
    options = BridgeOptions(backoff=QUICK, concurrency=16)
    async with env.bridge(options) as bridge:
        assert bridge.stats.concurrency == 16
        await eventually("the decrease", lambda: bridge.stats.concurrency <= 8, interval=0.001)
        env.reply = lambda _: Accepted()
        for _ in range(500):
            env.broker.append(make.completed())
        await env.settle(501)
        assert bridge.stats.concurrency == 16


@pytest.mark.parametrize("reply", [Retry("unreachable", "reset"), Retry("defect", "oops")])
async def test_what_is_no_overload_does_not(env: BridgeEnv, make: RecordFactory, reply: Retry) -> None:
    """A connection that broke says nothing of how many there may be."""
    replies = iter([reply, reply])
    env.reply = lambda _: next(replies, Accepted())
    for _ in range(3):
        env.broker.append(make.completed())
    async with env.bridge(BridgeOptions(backoff=QUICK, concurrency=16)) as bridge:
        await env.settle(3)
        assert bridge.stats.concurrency == 16


async def test_no_more_are_under_way_than_the_limit_allows(env: BridgeEnv, make: RecordFactory) -> None:
    """After decreases to one, one at a time."""
    env.reply = lambda _: OVERLOADED
    env.broker.append(make.completed())
    async with env.bridge(BridgeOptions(backoff=QUICK, concurrency=16, drain_timeout=0.0)) as bridge:
        await eventually("the floor", lambda: bridge.stats.concurrency == 1, interval=0.001)
        env.posted.clear()
        env.hold.clear()
        for _ in range(10):
            env.broker.append(make.completed())
        await eventually("the fetch", lambda: bridge.stats.fetched == 11, interval=0.002)
        assert len(env.posted) <= 1


async def test_the_completer_bounds_the_sends(env: BridgeEnv, make: RecordFactory) -> None:
    """However large the configured number is: a batching completer wants few."""
    env.hold.clear()
    for _ in range(200):
        env.broker.append(make.completed())
    async with env.bridge(BridgeOptions(concurrency=500, drain_timeout=0.0)) as bridge:
        await eventually("the fetch", lambda: bridge.stats.fetched == 200, interval=0.002)
        await eventually("the posts", lambda: len(env.posted) == 64, interval=0.002)
        assert bridge.stats.concurrency == 64


async def test_a_fetch_becomes_one_batch(env: BridgeEnv, make: RecordFactory) -> None:
    """The first batch holds all that came with the first record, and waits for nothing else."""
    batches: list[int] = []

    class Batching(FunctionCompleter):
        async def complete(self, batch: Sequence[Completion]) -> Sequence[Reply]:
            batches.append(len(batch))
            return [Accepted() for _ in batch]

    env.completer = Batching(env.complete, batch_limit=500)
    for _ in range(100):
        env.broker.append(make.completed())
    async with env.bridge(BridgeOptions(fetch_limit=100)):
        await env.settle(100)
    assert batches == [100]


async def test_a_completer_that_raises_loses_nothing(env: BridgeEnv, make: RecordFactory) -> None:
    """A defect is a retry, like any other reply that is no reply."""
    attempts: list[int] = []

    class Raising(FunctionCompleter):
        def send(self, batch: Sequence[Completion], answered: Answered) -> None:
            attempts.append(len(batch))
            if len(attempts) < 3:
                raise RuntimeError("oops")
            super().send(batch, answered)

    env.completer = Raising(env.complete)
    env.broker.append(make.completed())
    async with env.bridge(BridgeOptions(backoff=QUICK)) as bridge:
        await env.settle(1)
        assert bridge.stats.replies == {"defect": 2, "202": 1}


TIMEOUT = Retry("timeout", "no answer in time", overloaded=True)
ONE = BridgeOptions(concurrency=1, backoff=QUICK)


async def test_new_results_get_turns_beside_requests_that_hang() -> None:
    """One at a time, and two that always time out: a quiet night must not end in a standstill."""
    async with DispatcherEnv(ONE) as env:
        env.submit("hangs-1", "hangs-2")
        for _ in range(4):
            env.completer.take().answer(TIMEOUT)
            await env.turn(0.02)
        new = [f"new-{number}" for number in range(20)]
        env.submit(*new)
        hung = 0
        while hung < 10 and len(env.listener.delivered()) < len(new):
            send = env.completer.take()
            if send.tokens[0] in new:
                send.answer(Accepted())
            else:
                hung += 1
                await env.turn(0.02)
                send.answer(TIMEOUT)
        assert env.listener.delivered() == new


async def test_retries_take_a_quarter_of_the_time_where_one_is_under_way() -> None:
    """After a retry that took long, new results go first for three times as long."""
    async with DispatcherEnv(ONE) as env:
        env.submit("hangs")
        env.completer.take().answer(TIMEOUT)
        await env.turn(0.03)
        retry = env.completer.take("hangs")
        env.submit("new-1", "new-2")
        await env.turn(0.05)
        retry.answer(TIMEOUT)
        await env.turn(0.02)
        first = env.completer.take()
        first.answer(Accepted())
        await env.turn()
        assert (first.tokens, env.completer.under_way[0].tokens) == (["new-1"], ["new-2"])


async def test_retries_take_a_quarter_of_the_sends_under_way() -> None:
    """Eight that fail again and again leave six of eight sends to new ones."""
    async with DispatcherEnv(BridgeOptions(concurrency=8, backoff=QUICK)) as env:
        failing = [f"fails-{number}" for number in range(8)]
        env.listener.kinds = dict.fromkeys(failing, FailureKind.RECORD)
        env.submit(*failing)
        for token in failing:
            env.completer.take(token).answer(Retry("timeout", "no answer in time"))
        await env.turn(0.1)  # all are due again
        new = [f"new-{number}" for number in range(7)]
        env.submit(*new)
        under_way = [send.tokens[0] for send in env.completer.under_way]
        assert (len(set(under_way) & set(failing)), under_way[2:]) == (2, new[:6])


async def test_a_batch_that_fails_is_one_failure() -> None:
    """Five deliveries in one call that times out say as much about Restate as one: it may just be slow."""
    async with DispatcherEnv(BridgeOptions(unavailable_after=5, backoff=QUICK), batch_limit=10) as env:
        env.submit(*"abcdefgh")
        await env.turn()
        env.completer.take().answer(Retry("timeout", "no answer in time", shared=True))
        await env.turn()
        assert env.listener.events == []


async def test_batches_that_fail_in_a_row_are_an_outage() -> None:
    """Each counts once, and together they open the circuit."""
    async with DispatcherEnv(BridgeOptions(unavailable_after=3, backoff=QUICK), batch_limit=2) as env:
        env.submit(*"abcdef")
        await env.turn()
        for _ in range(3):
            env.completer.take().answer(Retry("unreachable", "refused"))
        assert env.listener.events == ["unavailable"]


async def test_failures_of_the_records_own_kind_are_no_outage() -> None:
    """However many of them fail in a row, if others got through in between."""
    async with DispatcherEnv(BridgeOptions(unavailable_after=5, backoff=QUICK)) as env:
        tokens = [f"poison-{number}" for number in range(30)]
        env.listener.kinds = dict.fromkeys(tokens, FailureKind.RECORD)
        env.submit(*tokens)
        for token in tokens:
            env.completer.take(token).answer(Retry("500", "poison"))
        assert (len(env.listener.failures), env.listener.events) == (30, [])


async def test_a_failure_while_a_reply_is_handled_is_fatal() -> None:
    """The completer that calls back cannot handle it: it must not end in an event loop's log."""
    async with DispatcherEnv(BridgeOptions()) as env:
        env.listener.on_reply = _fail  # type: ignore[assignment] # a defect of the listener
        env.submit("a")
        env.completer.take().answer(Accepted())
        assert [str(each) for each in env.listener.fatal] == ["a defect"]


def _fail(*_: object) -> None:
    raise RuntimeError("a defect")
