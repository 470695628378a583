"""A new group reads what the results topic holds: late results are counted, and nothing else happens to them."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import AUDIENCE, GROUP, RecordFactory

from kallback.bridge import Accepted, Backoff, BridgeOptions, Retry
from kallback.bridge.results.late_policy import read_policies
from kallback.kafka import OutgoingRecord, TopicPartition
from kallback.testing.polling import eventually

QUICK = BridgeOptions(backoff=Backoff(first=0.001, longest=0.002))
ORPHANS = replace(QUICK, late=read_policies(["handler:Orphans/take"]))
FIRST = TopicPartition(AUDIENCE, 0)


def late(make: RecordFactory) -> OutgoingRecord:
    """A result that comes a minute after its deadline."""
    return make.completed(make.sign(make.token(deadline=-60)))


@pytest.fixture
def new_group(env: BridgeEnv) -> BridgeEnv:
    """The environment of a bridge whose group has committed nothing."""
    env.broker.group(GROUP).commits.clear()
    return env


async def test_late_results_of_the_history_are_only_counted(
    new_group: BridgeEnv, make: RecordFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """No dead letter, no call of a handler; the log says it, with the group and the number of records, beforehand."""
    for _ in range(50):
        new_group.broker.append(late(make))
    caplog.set_level(logging.INFO)
    async with new_group.bridge(ORPHANS) as bridge:
        await new_group.settle(50)
    assert {(each.outcome, each.reason) for each in new_group.settled} == {("late", "late-history")}
    assert (new_group.dead_letters(), new_group.handled, new_group.committed()) == ([], [], 50)
    assert bridge.stats.reasons["late-history"] == 50
    said = [each.getMessage() for each in caplog.records]
    beginning, first = (each for each in said if "no offset is committed" in each or "history" in each)
    assert (f"group='{GROUP}'" in beginning, "records=50" in beginning) == (True, True)
    assert "counted as history" in first


async def test_results_of_the_history_that_are_not_late_are_delivered(
    new_group: BridgeEnv, make: RecordFactory
) -> None:
    """A handler may wait for them."""
    new_group.broker.append(late(make))
    new_group.broker.append(make.completed())
    async with new_group.bridge(QUICK):
        await new_group.settle(2)
    assert new_group.outcomes() == {"late": 1, "delivered": 1}


async def test_results_that_come_after_the_start_are_no_history(new_group: BridgeEnv, make: RecordFactory) -> None:
    """The late policy holds for them."""
    new_group.broker.append(late(make))
    async with new_group.bridge(QUICK):
        await new_group.settle(1)
        new_group.broker.append(late(make))
        await new_group.settle(2)
    assert [each.reason for each in new_group.settled] == ["late-history", "late"]


async def test_a_group_that_was_there_before_has_no_history(new_group: BridgeEnv, make: RecordFactory) -> None:
    """Even if there was nothing to read when it ran: what came while it was stopped is new."""
    async with new_group.bridge(QUICK):
        await eventually("an assignment", lambda: bool(new_group.consumers[0].assignment()), interval=0.002)
    new_group.broker.append(late(make))
    async with new_group.bridge(QUICK):
        await new_group.settle(1)
    assert [each.reason for each in new_group.settled] == ["late"]


async def test_a_crash_half_way_makes_no_news_of_the_rest(new_group: BridgeEnv, make: RecordFactory) -> None:
    """The successor reads on where the history was committed to, and knows where it ends."""
    for _ in range(20):
        new_group.broker.append(late(make))
    stuck = make.completed()
    new_group.broker.append(stuck)
    for _ in range(20):
        new_group.broker.append(late(make))
    new_group.reply = lambda _: Retry("503", "away")
    first = new_group.bridge(replace(QUICK, drain_timeout=0.0))
    await first.start()
    await new_group.settle(40)
    await new_group.consumers[0].commit()
    await new_group.consumers[0].crash()
    await first.stop()
    assert new_group.committed() == 20
    new_group.broker.append(late(make))
    new_group.reply = lambda _: Accepted()
    new_group.settled.clear()
    async with new_group.bridge(QUICK):
        await new_group.settle(22)
    found = [(each.record.offset, each.reason) for each in sorted(new_group.settled, key=lambda it: it.record.offset)]
    assert found == [(20, None), *((offset, "late-history") for offset in range(21, 41)), (41, "late")]
    assert len(new_group.dead_letters()) == 1


async def test_history_has_its_own_reason_in_outcome_records(new_group: BridgeEnv, make: RecordFactory) -> None:
    """A reader of the outcomes topic can tell it from results that came too late."""
    new_group.broker.append(late(make))
    async with new_group.bridge(replace(QUICK, outcomes=True)):
        await new_group.settle(1)
    (outcome,) = new_group.broker.records("kallback.outcomes")
    assert b'"outcome":"late","reason":"late-history"' in (outcome.value or b"")
