"""Each record becomes exactly one outcome, durable before its offset is done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from kallback.bridge import (
    Accepted,
    Backoff,
    BridgeOptions,
    Completion,
    FunctionCompleter,
    Rejected,
    Reply,
    Retry,
    TooLarge,
)
from kallback.kafka import OutgoingRecord
from kallback.protocol import Completed, Failed, Outcome
from kallback.testing.polling import eventually

OUTCOMES = BridgeOptions(outcomes=True)


async def test_a_result_is_delivered(world: Any, mint: Any) -> None:
    """The completion says what the worker said; the offset is done."""
    token = mint.token()
    world.broker.append(mint.completed(mint.sign(token), b"[1]"))

    async with world.bridge():
        await world.settle(1)

    (posted,) = world.posted
    assert (posted.target, posted.answer) == (token, Completed(b"[1]"))
    assert (world.outcomes(), world.committed(), world.dead()) == ({"delivered": 1}, 1, [])


async def test_a_copy_of_a_delivered_result_is_a_duplicate(world: Any, mint: Any) -> None:
    """It is not posted again."""
    record = mint.completed()
    async with world.bridge():
        world.broker.append(record)
        await world.settle(1)
        world.broker.append(record)
        await world.settle(2)

    assert (len(world.posted), world.outcomes(), world.committed()) == (1, {"delivered": 1, "duplicate": 1}, 2)


async def test_a_copy_of_one_in_flight_shares_its_fate(world: Any, mint: Any) -> None:
    """It is done when the first is delivered, not before."""
    world.hold.clear()
    record = mint.completed()
    async with world.bridge() as bridge:
        world.broker.append(record)
        world.broker.append(record)
        await eventually("both records", lambda: bridge.stats.in_flight == 2)
        before = world.outcomes()
        world.hold.set()
        await world.settle(2)

    assert (before, world.outcomes(), len(world.posted)) == ({}, {"delivered": 1, "duplicate": 1}, 1)


async def test_a_late_result_is_dead_lettered(world: Any, mint: Any) -> None:
    """Nobody waits for it, so nothing is posted."""
    world.broker.append(mint.completed(mint.sign(mint.token(deadline=-31))))

    async with world.bridge():
        await world.settle(1)

    assert (world.outcomes(), world.posted, world.committed()) == ({"late": 1}, [], 1)
    assert world.header(world.dead()[0], "kallback-dead-reason") == "late"


async def test_an_unusable_result_fails_the_task_and_is_dead_lettered(world: Any, mint: Any) -> None:
    """The caller hears of it at once, and the record is kept byte for byte."""
    token = mint.token()
    record = mint.completed(mint.sign(token), b"oops")
    world.broker.append(record)

    async with world.bridge():
        await world.settle(1)

    (posted,) = world.posted
    assert posted.target == token
    assert isinstance(posted.answer, Failed)
    assert posted.answer.problem().type == "urn:kallback:unusable-result"
    (dead,) = world.dead()
    assert (dead.value, dead.headers[: len(record.headers)]) == (record.value, record.headers)
    assert world.header(dead, "kallback-dead-reason") == "not-json"
    assert (world.outcomes(), world.committed()) == ({"unusable": 1}, 1)


async def test_a_copy_of_an_unusable_one_waits_for_its_dead_letter(world: Any, mint: Any) -> None:
    """The same record, handed out again, must not be done before the dead letter is durable."""
    record = mint.completed(value=b"oops")
    world.broker.append(record)
    async with world.bridge() as bridge:
        world.broker.available = False
        await eventually("the failure posted", lambda: world.posted)
        world.broker.available = True
        world.broker.append(record)
        world.broker.available = False
        await eventually("the duplicate", lambda: bridge.stats.fetched == 2)
        before = world.settled.copy()
        world.broker.available = True
        await world.settle(2)

    assert before == []
    assert world.outcomes() == {"unusable": 1, "duplicate": 1}


async def test_a_result_that_restate_finds_too_large_fails_the_task(world: Any, mint: Any) -> None:
    """413 means unusable: the problem is posted in its place."""
    world.reply = lambda it: TooLarge("32 MiB") if isinstance(it.answer, Completed) else Accepted()
    world.broker.append(mint.completed(value=b'"large"'))

    async with world.bridge():
        await world.settle(1)

    assert [type(posted.answer) for posted in world.posted] == [Completed, Failed]
    assert (world.outcomes(), world.settled[0].reason) == ({"unusable": 1}, "too-large")
    assert len(world.dead()) == 1


async def test_a_task_that_cannot_even_be_failed_is_dead_lettered(world: Any, mint: Any) -> None:
    """A server that refuses everything ends the record, it does not go in circles."""
    world.reply = lambda _: TooLarge("0 bytes")
    world.broker.append(mint.completed())

    async with world.bridge():
        await world.settle(1)

    assert (len(world.posted), world.outcomes(), len(world.dead())) == (2, {"unusable": 1}, 1)


async def test_an_unverified_record_is_dead_lettered(world: Any) -> None:
    """Nothing is posted for it."""
    world.broker.append(OutgoingRecord("kallback.results", b"{}"))

    async with world.bridge():
        await world.settle(1)

    assert (world.outcomes(), world.posted, world.committed()) == ({"unverified": 1}, [], 1)
    assert world.header(world.dead()[0], "kallback-dead-reason") == "no-token"


async def test_a_rejected_result_is_dead_lettered_with_its_copies(world: Any, mint: Any) -> None:
    """Restate's words stand in the dead letter."""
    world.hold.clear()
    world.reply = lambda _: Rejected("bad awakeable id")
    record = mint.completed()
    async with world.bridge() as bridge:
        world.broker.append(record)
        world.broker.append(record)
        await eventually("both records", lambda: bridge.stats.in_flight == 2)
        world.hold.set()
        await world.settle(2)

    assert (world.outcomes(), len(world.posted)) == ({"rejected": 2}, 1)
    assert world.header(world.dead()[0], "kallback-dead-detail") == "bad awakeable id"


async def test_poison_does_not_stop_the_good(world: Any, mint: Any) -> None:
    """A record that fails for ever is overtaken by all the others; only its own offset waits."""
    poison = mint.token()
    world.reply = lambda it: Retry("500", "poison") if it.target == poison else Accepted()
    world.broker.append(mint.completed(mint.sign(poison)))
    for _ in range(500):
        world.broker.append(mint.completed())

    async with world.bridge(BridgeOptions(drain_timeout=0.0)):
        await world.settle(500)

    assert (world.outcomes(), world.dead(), world.committed()) == ({"delivered": 500}, [], 0)


async def test_much_poison_does_not_stop_the_good(world: Any, mint: Any) -> None:
    """More bad records than make an outage, and nothing else in flight: fresh ones still get through."""
    poison = [mint.token() for _ in range(20)]
    world.reply = lambda it: Retry("500", "poison") if it.target in poison else Accepted()
    quick = BridgeOptions(drain_timeout=0.0, backoff=Backoff(first=0.001, longest=0.005))
    async with world.bridge(quick) as bridge:
        for token in poison:
            world.broker.append(mint.completed(mint.sign(token)))
        await eventually("many failures", lambda: bridge.stats.retries > 100, interval=0.002)
        for _ in range(100):
            world.broker.append(mint.completed())
        await world.settle(100)

    assert (world.outcomes(), world.dead()) == ({"delivered": 100}, [])


async def test_a_completer_with_a_defect_loses_nothing(world: Any, mint: Any) -> None:
    """An exception where a reply should be is a retry."""
    crashes = iter([True, True, False])

    def reply(_: Completion) -> Reply:
        if next(crashes):
            raise KeyError("defect")
        return Accepted()

    world.reply = reply
    world.broker.append(mint.completed())
    async with world.bridge():
        await world.settle(1)

    assert (world.outcomes(), world.dead()) == ({"delivered": 1}, [])


async def test_a_completer_that_miscounts_loses_nothing(world: Any, mint: Any) -> None:
    """Without a reply for each, none counts."""
    counts = iter([0, 2, 1])

    class Miscounting(FunctionCompleter):
        async def complete(self, batch: Sequence[Completion]) -> Sequence[Reply]:
            return [Accepted()] * (next(counts) if batch else 0)

    world.completer = Miscounting(world.complete)
    world.broker.append(mint.completed())
    async with world.bridge() as bridge:
        await world.settle(1)
    assert (world.outcomes(), bridge.stats.replies["defect"]) == ({"delivered": 1}, 2)


async def test_batches_are_what_has_arrived(world: Any, mint: Any) -> None:
    """A completer that takes many at once gets many at once, and each its own reply."""
    for number in range(100):
        world.broker.append(mint.completed(value=str(number).encode()))
    world.reply = lambda it: Rejected("odd") if int(it.answer.value) % 2 else Accepted()

    async with world.bridge(BridgeOptions(concurrency=2), batch_limit=50):
        await world.settle(100)

    assert world.outcomes() == {"delivered": 50, "rejected": 50}


async def test_outcome_records_are_written_before_the_offset_is_done(world: Any, mint: Any) -> None:
    """With Kafka refusing them, nothing is done; with Kafka back, one for each record."""
    token = mint.token()
    world.broker.append(mint.completed(mint.sign(token)))
    async with world.bridge(OUTCOMES) as bridge:
        world.broker.available = False
        await eventually("the post", lambda: world.posted)
        before = world.settled.copy()
        world.broker.available = True
        await world.settle(1)
        assert bridge.stats.outcomes[Outcome.DELIVERED] == 1

    (line,) = world.broker.records("kallback.outcomes")
    assert before == []
    assert line.key == token.task_id.encode()
    assert json.loads(line.value) | {"source": None, "at": None} == {
        "kallback": 1,
        "outcome": "delivered",
        "type": "kitchen.prepare",
        "task": token.task_id,
        "attempt": 1,
        "source": None,
        "at": None,
    }


async def test_an_outcome_record_of_an_unverified_one_says_where_it_lay(world: Any) -> None:
    """Without a proven token there is no task to name."""
    world.broker.append(OutgoingRecord("kallback.results", b"{}"))
    async with world.bridge(OUTCOMES):
        await world.settle(1)

    (line,) = world.broker.records("kallback.outcomes")
    body = json.loads(line.value)
    assert (body["outcome"], body["reason"]) == ("unverified", "no-token")
    assert body["source"]["offset"] == 0
    assert "task" not in body


async def test_a_dead_letter_is_durable_before_the_offset_is_done(world: Any) -> None:
    """Kafka away: the record waits, and is not done."""
    world.broker.append(OutgoingRecord("kallback.results", b"{}"))
    async with world.bridge() as bridge:
        world.broker.available = False
        await eventually("the record", lambda: bridge.stats.fetched == 1)
        await asyncio.sleep(0.02)
        before = (world.settled.copy(), world.dead())
        world.broker.available = True
        await world.settle(1)

    assert before == ([], [])
    assert (len(world.dead()), world.committed()) == (1, 1)


async def test_outcomes_are_not_written_unless_asked_for(world: Any, mint: Any) -> None:
    """The topic is opt-in."""
    world.broker.append(mint.completed())
    async with world.bridge():
        await world.settle(1)
    assert world.broker.records("kallback.outcomes") == []


@pytest.mark.parametrize("count", [1, 3000])
async def test_everything_is_committed_when_it_stops(world: Any, mint: Any, count: int) -> None:
    """A stop drains what is in flight and commits the positions."""
    for _ in range(count):
        world.broker.append(mint.completed())
    async with world.bridge():
        await world.settle(count)
    assert world.committed() == count
