"""After an outage, parts of Restate that do not answer yet do not keep the others waiting."""

from __future__ import annotations

import base64
import os

import pytest
from tests.unit.bridge.dispatch.environment import DispatcherEnv

from kallback.bridge import Accepted, Backoff, BridgeOptions, Retry
from kallback.bridge.dispatch import dispatcher
from kallback.protocol import AwakeableId
from kallback.testing.polling import eventually

OPTIONS = BridgeOptions(concurrency=8, unavailable_after=2, backoff=Backoff(first=0.001, longest=0.001))
UNREACHABLE = Retry("unreachable", "refused")


def awakeable_in(part: int) -> AwakeableId:
    """One whose invocation is in this of four partitions."""
    raw = bytes([part * 64]) + os.urandom(23) + (17).to_bytes(4, "big")
    return AwakeableId("sign_1" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


def sent(env: DispatcherEnv) -> list[str]:
    """The tokens that are under way."""
    return [token for send in env.completer.under_way for token in send.tokens]


async def begin_outage(env: DispatcherEnv) -> None:
    """Have two fail, and the first probe be under way: `a`, or `b`."""
    env.submit("a", "b", awakeable=awakeable_in(0))
    for _ in "ab":
        env.completer.take().answer(UNREACHABLE)
    assert env.listener.events == ["unavailable"]
    await probe(env)


async def probe(env: DispatcherEnv) -> None:
    """Wait until a probe is under way."""
    await eventually("a probe", lambda: bool(env.completer.under_way), interval=0.002)


async def end_outage(env: DispatcherEnv, count: int, *others: str) -> list[str]:
    """Have so many results for a part that does not answer wait, and others for another one; then Restate answers."""
    await begin_outage(env)
    held = [f"held-{number}" for number in range(count)]
    for token in held:
        env.submit(token, awakeable=awakeable_in(3))
    for token in others:
        env.submit(token, awakeable=awakeable_in(1))
    env.completer.take().answer(Accepted())
    await env.turn(0.01)
    return held


async def test_a_part_that_does_not_answer_takes_two_sends_only() -> None:
    """Twenty results for a partition without a leader come first; those for another one go all the same."""
    async with DispatcherEnv(OPTIONS) as env:
        await end_outage(env, 20, "other")
        assert [each for each in sent(env) if each.startswith("held")] == ["held-0", "held-1"]
        assert "other" in sent(env)


async def test_the_first_answer_of_a_part_lets_its_results_go() -> None:
    """None of them is lost, and as many are under way as before the outage."""
    async with DispatcherEnv(OPTIONS) as env:
        tokens = await end_outage(env, 20)
        env.completer.take("held-0").answer(Accepted())
        assert len(sent(env)) == OPTIONS.concurrency
        while len(env.listener.delivered()) < len(tokens) + 2:
            env.completer.take().answer(Accepted())
            await env.turn()
        assert set(tokens) <= set(env.listener.delivered())


async def test_a_failure_of_a_part_lets_one_more_try() -> None:
    """Two are under way, whatever becomes of them."""
    async with DispatcherEnv(OPTIONS) as env:
        await end_outage(env, 20)
        env.completer.take("held-0").answer(Retry("503", "no leader"))
        assert [each for each in sent(env) if each.startswith("held")] == ["held-1", "held-2"]


async def test_a_part_that_stays_away_holds_its_results_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not sent cannot fail, so it is never parked, and would stop its partition of Kafka."""
    monkeypatch.setattr(dispatcher, "_LONGEST_HELD_S", 0.01)
    async with DispatcherEnv(OPTIONS) as env:
        held = await end_outage(env, 20)
        await eventually("more than two under way", lambda: len(sent(env)) > 2, interval=0.002)
        env.submit("other", awakeable=awakeable_in(1))
        assert "other" in sent(env)
        while len(env.listener.delivered()) < len(held) + 3:
            env.completer.take().answer(Accepted())
            await env.turn()


async def test_what_is_held_is_not_lost_in_the_next_outage() -> None:
    """It waits with the others, and goes with them."""
    async with DispatcherEnv(OPTIONS) as env:
        tokens = await end_outage(env, 6)
        while len(env.listener.events) < 3:
            env.completer.take().answer(UNREACHABLE)
        assert env.listener.events[-1] == "unavailable"
        while len(env.listener.delivered()) < len(tokens) + 2:
            await probe(env)
            env.completer.take().answer(Accepted())
        assert set(tokens) <= set(env.listener.delivered())


async def test_probes_that_are_turned_away_do_not_lower_the_concurrency() -> None:
    """Restate answers 503 while it starts: that is no overload by a bridge that sends one at a time."""
    async with DispatcherEnv(OPTIONS) as env:
        await begin_outage(env)
        for _ in range(6):
            env.completer.take().answer(Retry("503", "no leader", overloaded=True))
            await probe(env)
        assert env.context.stats.concurrency == OPTIONS.concurrency
