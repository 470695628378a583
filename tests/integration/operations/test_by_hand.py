"""Answers by hand, judged by a real bridge; and what the doctor says of a task that nothing does."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
import restate
from tests.integration.operations.conftest import HOUR, Shop, ShopFactory
from tests.integration.operations.doctor import findings_of

from kallback import kafka
from kallback.bridge import Bridge, BridgeOptions
from kallback.kafka import ConfluentProducer, ConfluentReader
from kallback.operations import ByHand, Introspection, PendingTask, answer_headers, follow_outcomes
from kallback.operations.doctor import Finding, Severity
from kallback.protocol import OutcomeRecord, TaskHeaders, TaskType
from kallback.protocol.by_hand import Operator
from kallback.sdk import Callbacks, TaskFailed
from kallback.testing import eventually

pytestmark = pytest.mark.integration
Cook = TaskType[Any, Any]
Body = dict[str, Any]
ALICE = Operator("alice", "by phone")


async def call(ctx: restate.Context, callbacks: Callbacks, cook: Cook, body: Body) -> str:
    """Wait for one task, and say what came."""
    try:
        return str(await callbacks.call(ctx, cook, body))
    except TaskFailed as error:
        return f"{error.type}: {error.message}"


async def headers_of(shop: Shop, task: PendingTask) -> TaskHeaders:
    """What an answer to the task needs."""
    return await answer_headers(lambda at: kafka.find_record(shop.settings.kafka, at), task, shop.settings)


async def outcome_of(shop: Shop, task_id: str) -> OutcomeRecord:
    """The outcome of a task's result."""

    async def found() -> OutcomeRecord | None:
        reader = ConfluentReader(shop.settings.kafka, shop.settings.topics.outcomes)
        batches = [batch async for batch in follow_outcomes(reader, to_the_end=True)]
        return next((each for batch in batches for each in batch if each.task_id == task_id), None)

    return await eventually("the outcome", found)


async def test_a_task_is_completed_in_somebodys_name(make_shop: ShopFactory) -> None:
    """The handler has the value, and the outcome record says who did what and why."""
    async with (
        make_shop(call) as shop,
        Bridge(shop.settings, BridgeOptions(outcomes=True)),
        ConfluentProducer(shop.settings.kafka) as producer,
        asyncio.timeout(90),
    ):
        invocation = await shop.order()
        [task] = await shop.tasks(1)
        await ByHand(producer, shop.settings, ALICE).complete(await headers_of(shop, task), b'{"minutes":12}')
        assert await shop.ingress.attach(invocation) == "{'minutes': 12}"
        outcome = await outcome_of(shop, task.task_id)
    assert (outcome.outcome, outcome.deed, outcome.why) == ("delivered", "completed by alice", "by phone")


async def outcomes_of(shop: Shop, task_id: str, count: int) -> list[str]:
    """The outcomes of a task's results, when there are so many."""

    async def found() -> list[str] | None:
        reader = ConfluentReader(shop.settings.kafka, shop.settings.topics.outcomes)
        batches = [batch async for batch in follow_outcomes(reader, to_the_end=True)]
        outcomes = [str(each.outcome) for batch in batches for each in batch if each.task_id == task_id]
        return outcomes if len(outcomes) >= count else None

    return await eventually(f"{count} outcomes", found)


async def test_a_copy_is_told_by_the_bridge_that_delivered_the_first(make_shop: ShopFactory) -> None:
    """After a restart it counts as delivered again, as Restate answers; the handler keeps the first value."""
    options = BridgeOptions(outcomes=True)
    async with (
        make_shop(call) as shop,
        ConfluentProducer(shop.settings.kafka) as producer,
        asyncio.timeout(90),
    ):
        by_hand = ByHand(producer, shop.settings, ALICE)
        invocation = await shop.order()
        [task] = await shop.tasks(1)
        headers = await headers_of(shop, task)
        async with Bridge(shop.settings, options):
            await by_hand.complete(headers, b'{"number":1}')
            assert await shop.ingress.attach(invocation) == "{'number': 1}"
            await by_hand.complete(headers, b'{"number":2}')
            assert await outcomes_of(shop, task.task_id, 2) == ["delivered", "duplicate"]
        async with Bridge(shop.settings, options):
            await by_hand.complete(headers, b'{"number":3}')
            await outcomes_of(shop, task.task_id, 3)
            await by_hand.complete(headers, b'{"number":4}')
            outcomes = await outcomes_of(shop, task.task_id, 4)
        assert await shop.ingress.attach(invocation) == "{'number': 1}"
    assert outcomes == ["delivered", "duplicate", "delivered", "duplicate"]


async def test_a_task_is_cancelled_in_somebodys_name(make_shop: ShopFactory) -> None:
    """Its handler gets an error that is not retried, and the list is empty."""
    async with (
        make_shop(call) as shop,
        Bridge(shop.settings, BridgeOptions(outcomes=True)),
        ConfluentProducer(shop.settings.kafka) as producer,
        asyncio.timeout(90),
    ):
        invocation = await shop.order()
        [task] = await shop.tasks(1)
        await ByHand(producer, shop.settings, ALICE).cancel(await headers_of(shop, task))
        answer = await shop.ingress.attach(invocation)
        assert answer.startswith("urn:kallback:cancelled-by-hand: ")
        assert "cancelled by alice: by phone" in answer
        assert await shop.tasks(0) == []
        assert (await outcome_of(shop, task.task_id)).deed == "cancelled by alice"


async def test_a_retry_by_hand_sends_the_next_attempt(make_shop: ShopFactory) -> None:
    """The same task, one attempt later, with a record of its own."""
    async with (
        make_shop(call, heartbeat_every=HOUR) as shop,
        Bridge(shop.settings),
        ConfluentProducer(shop.settings.kafka) as producer,
        asyncio.timeout(90),
    ):
        await shop.order()
        [task] = await shop.tasks(1)
        await ByHand(producer, shop.settings, ALICE).retry(await headers_of(shop, task))

        async def second() -> PendingTask | None:
            found = await shop.pending.find(task.task_id)
            return found if found is not None and found.attempt == 2 else None

        again = await eventually("the second attempt", second)
        assert (await headers_of(shop, again)).attempt == 2


async def test_the_doctor_says_what_is_missing(make_shop: ShopFactory) -> None:
    """Neither a bridge nor a worker runs: each has its remedy."""
    async with make_shop(call) as shop, Introspection(shop.settings.restate) as introspection, asyncio.timeout(90):
        await shop.order()
        [task] = await shop.tasks(1)
        findings = await findings_of(shop, introspection, task.task_id)
    remedies = [finding.remedy for finding in findings if finding.severity is Severity.PROBLEM]
    assert remedies == ["start a bridge: kallback bridge", f"start a worker that reads {shop.cook.topic}"], said(
        findings
    )


def said(findings: list[Finding]) -> str:
    """For the report of a failure."""
    return os.linesep.join(f"{each.severity} {each.subject}: {each.sentence}" for each in findings)
