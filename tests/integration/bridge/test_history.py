"""Bridges of a new group on a results topic that holds results of long ago, between real servers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from tests.integration.bridge.environment import ResultsTopic, both_clients, with_restate

from kallback.bridge import Bridge, BridgeOptions
from kallback.bridge.results.late_policy import LatePolicies, read_policies
from kallback.kafka import Client
from kallback.testing.polling import eventually

pytestmark = pytest.mark.integration

PAST = 300
NEW_GROUP = BridgeOptions(group="kallback-mistyped", late=read_policies(["handler:BridgeWaiter/wait"]))


async def write_late(results: ResultsTopic, count: int) -> None:
    """Write results whose deadlines have passed long ago."""
    await asyncio.gather(*(results.complete(results.token(deadline=-3600)) for _ in range(count)))


def by_reason(results: ResultsTopic) -> dict[str | None, int]:
    """How many records were settled, duplicates of redeliveries left out, by reason."""
    reasons = {(it.record.partition, it.record.offset): it.reason for it in results.settled}
    found = list(reasons.values())
    return {reason: found.count(reason) for reason in set(found)}


def owns_partitions(bridge: Bridge) -> bool:
    """Whether the group has given it partitions."""
    status = bridge.group_status()
    return status is not None and bool(status.partitions)


@pytest.fixture
def options(results: ResultsTopic) -> BridgeOptions:
    """Options of a bridge whose group is new."""
    return replace(NEW_GROUP, group=f"{results.settings.topics.results}.mistyped")


@both_clients
async def test_a_mistyped_group_writes_nothing_and_delivers_what_is_awaited(
    results: ResultsTopic, options: BridgeOptions
) -> None:
    """Three hundred results of long ago, and one that a handler waits for."""
    await write_late(results, PAST)
    waiting = await results.waiting_handler(deadline=600)
    await results.complete(waiting.token)
    async with results.bridge(options) as bridge:
        await results.settle(PAST + 1)
        envelope = await waiting.envelope()
    assert envelope["status"] == "completed"
    assert by_reason(results) == {"late-history": PAST, None: 1}
    assert (await results.dead_letters(), bridge.stats.late_replies) == ({}, {})


@both_clients
async def test_a_restart_half_way_and_a_second_bridge_change_nothing(
    results: ResultsTopic, options: BridgeOptions
) -> None:
    """The first bridge cannot reach Restate, so its positions stay below a result that is awaited; two others go on."""
    await write_late(results, PAST)
    waiting = await results.waiting_handler(deadline=600)
    await results.complete(waiting.token)
    await write_late(results, PAST)
    away = with_restate(results, ingress_url="http://127.0.0.1:1")
    async with away.bridge(replace(options, drain_timeout=0.0)):
        await results.settle(2 * PAST)
    assert by_reason(results) == {"late-history": 2 * PAST}
    redelivered = len(results.settled)

    dead_letters = replace(options, late=LatePolicies())
    async with results.bridge(dead_letters) as second, results.bridge(dead_letters) as third:
        await eventually("a share for each", lambda: all(owns_partitions(it) for it in (second, third)))
        assert (await waiting.envelope())["status"] == "completed"
        await write_late(results, 5)
        await eventually("results that are late now", lambda: by_reason(results).get("late", 0) == 5)
    assert by_reason(results) == {"late-history": 2 * PAST, None: 1, "late": 5}
    assert len(results.settled) > redelivered + 6
    assert len(await results.dead_letters()) == 5


@both_clients
async def test_a_new_group_takes_over_with_the_other_client(results: ResultsTopic, options: BridgeOptions) -> None:
    """Bridges of both run side by side for a while: each result reaches its handler, and no late one is handled."""
    (other_client,) = set(Client) - {results.client}
    handlers = [await results.waiting_handler(deadline=600) for _ in range(3)]
    await write_late(results, PAST)

    async def is_completed(number: int) -> bool:
        await results.complete(handlers[number].token)
        return bool((await handlers[number].envelope())["status"] == "completed")

    async with AsyncExitStack() as before, AsyncExitStack() as until:
        old = await before.enter_async_context(results.bridge(replace(options, group=f"{options.group}.old")))
        assert await is_completed(0)
        new = await until.enter_async_context(replace(results, client=other_client).bridge(options))
        await eventually("a share for the new one", lambda: owns_partitions(new))
        assert await is_completed(1)
        await before.aclose()
        assert await is_completed(2)
        await eventually("all that was there", lambda: new.stats.reasons["late-history"] == PAST)
    assert await results.dead_letters() == {}
    assert (old.stats.late_replies, new.stats.late_replies) == ({}, {})
