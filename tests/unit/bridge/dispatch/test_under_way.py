"""Bytes of what is being sent are bounded, and retries have bounds of their own."""

from __future__ import annotations

from tests.unit.bridge.dispatch.environment import DispatcherEnv

from kallback.bridge import Accepted, Backoff, BridgeOptions, Retry
from kallback.bridge.in_flight.parking import FailureKind

MIB = 1024 * 1024
TIMEOUT = Retry("timeout", "no answer in time")


async def test_large_results_wait_although_the_concurrency_allows_more() -> None:
    """A body lies in memory beside its record until the answer has come: of 900 kB, only seven do at one time."""
    async with DispatcherEnv(BridgeOptions()) as env:
        env.submit(*"abcdefghijkl", size=900_000)
        assert [send.tokens[0] for send in env.completer.under_way] == list("abcdefg")
        env.completer.take("c").answer(Accepted())
        assert env.completer.under_way[-1].tokens == ["h"]


async def test_one_that_is_larger_than_the_bound_goes() -> None:
    """Alone, but it goes."""
    async with DispatcherEnv(BridgeOptions()) as env:
        env.submit("huge", size=20 * MIB)
        env.submit("small")
        assert [send.tokens for send in env.completer.under_way] == [["huge"]]
        env.completer.take("huge").answer(Accepted())
        assert [send.tokens for send in env.completer.under_way] == [["small"]]


async def test_large_retries_that_hang_leave_room_for_new_results() -> None:
    """They have a quarter of the bytes, as of the sends."""
    async with DispatcherEnv(BridgeOptions(backoff=Backoff(0.001, 0.01))) as env:
        failing = [f"hangs-{number}" for number in range(6)]
        env.listener.kinds = dict.fromkeys(failing, FailureKind.RECORD)
        env.submit(*failing, size=MIB)
        for token in failing:
            env.completer.take(token).answer(TIMEOUT)
        await env.turn(0.1)  # all are due again
        env.submit("new-1", "new-2")
        assert [send.tokens[0] for send in env.completer.under_way][2:] == ["new-1", "new-2"]


async def test_a_batch_ends_where_it_would_become_several_requests() -> None:
    """Its requests would go one after the other, and every item of it would have a second copy in memory meanwhile."""
    async with DispatcherEnv(BridgeOptions(), batch_limit=500) as env:
        env.submit(*"abcdef", size=400_000)
        await env.turn()
        assert [send.tokens for send in env.completer.under_way] == [["a", "b", "c"], ["d", "e", "f"]]
