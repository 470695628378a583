"""A record that cannot be completed while others can is parked; an outage parks nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from kallback.bridge import (
    Accepted,
    Backoff,
    BridgeOptions,
    Clocks,
    Completion,
    FunctionCompleter,
    Misconfigured,
    Reply,
    Retry,
)
from kallback.bridge.context import BridgeContext
from kallback.bridge.in_flight.deliveries import FailureKind, FetchedRecord, RetryBudget
from kallback.bridge.in_flight.limits import InFlightLimit
from kallback.bridge.in_flight.parking import Parking
from kallback.kafka import ConsumerOptions, OutgoingRecord, Record, TopicPartition
from kallback.protocol import Completed
from kallback.testing.polling import eventually

QUICK = Backoff(first=0.001, longest=0.002)
OPTIONS = BridgeOptions(backoff=QUICK, unavailable_after=50)


class Bench:
    """A parking whose clock and successes are the test's."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        shared = BridgeContext(BridgeOptions(**options), Clocks(monotonic=lambda: self.now))
        self.room = InFlightLimit(shared)
        self.parking = Parking(self.room, shared)
        self.patience = RetryBudget()
        self.fetched = self.acquire(0)

    def acquire(self, offset: int) -> FetchedRecord:
        """A record in flight."""
        fetched = FetchedRecord(Record("t", 0, offset, 0, None, b"", ()), None)  # type: ignore[arg-type] # nobody is told
        self.room.acquire(fetched)
        return fetched

    def fail(self, *, at: float, accepted: int = 0) -> FailureKind:
        """The record fails once more, after others were accepted."""
        for _ in range(accepted):
            self.parking.accepted()
        self.now = at
        return self.parking.failed(self.patience, self.fetched, "500")


def test_age_alone_parks_nothing() -> None:
    """A day's outage is no fault of the record."""
    bench = Bench()
    assert {bench.fail(at=float(hour) * 3600) for hour in range(24)} == {FailureKind.UNKNOWN}


def test_the_first_failure_says_nothing_of_the_record() -> None:
    """Others were accepted before it, and then Restate may have died."""
    assert Bench().fail(at=0.0, accepted=5) is FailureKind.UNKNOWN


def test_a_record_that_others_overtake_for_long_is_given_up() -> None:
    """After fifteen minutes of it."""
    bench = Bench()
    found = [bench.fail(at=minute * 60.0, accepted=1) for minute in range(16)]
    assert found == [FailureKind.UNKNOWN, *[FailureKind.RECORD] * 14, FailureKind.EXHAUSTED]


def test_only_the_time_counts_in_which_others_got_through() -> None:
    """An hour's outage in between adds nothing."""
    bench = Bench()
    bench.fail(at=0.0)
    bench.fail(at=600.0, accepted=1)
    bench.fail(at=4200.0)
    assert (bench.fail(at=4499.0, accepted=1), bench.fail(at=4501.0, accepted=1)) == (
        FailureKind.RECORD,
        FailureKind.EXHAUSTED,
    )


def test_where_its_partition_waits_for_it_a_minute_suffices() -> None:
    """The commit window is nearly used up."""
    bench = Bench(consumer=ConsumerOptions(window=100))
    bench.fail(at=0.0)
    roomy = bench.fail(at=61.0, accepted=1)
    bench.acquire(80)
    assert (roomy, bench.fail(at=62.0, accepted=1)) == (FailureKind.RECORD, FailureKind.EXHAUSTED)


def test_never_means_never() -> None:
    """Who wants to wait for a repair may."""
    bench = Bench(park_after=None)
    bench.fail(at=0.0)
    assert bench.fail(at=1e9, accepted=1) is FailureKind.RECORD


def poisoned(world: Any, poison: set[str], reply: Reply) -> None:
    """Let Restate refuse these tokens, and take all others."""

    def answer(completion: Completion) -> Reply:
        return reply if completion.token in poison else Accepted()

    world.reply = answer


@pytest.mark.parametrize("reply", [Retry("500", "poison"), Misconfigured("403", "a firewall's page")])
async def test_a_poison_record_is_parked_and_the_rest_is_delivered(world: Any, mint: Any, reply: Reply) -> None:
    """It becomes a dead letter with Restate's words, its offset is done."""
    text = mint.sign()
    poisoned(world, {text}, reply)
    world.broker.append(mint.completed(text))
    async with world.bridge(replace(OPTIONS, park_after=60.0)) as bridge:
        for _ in range(200):
            world.monotonic += 1.0
            world.broker.append(mint.completed())
            if bridge.stats.reasons["parked"]:
                break
            await asyncio.sleep(0.005)
        written = len(world.broker.records("kallback.results"))
        await eventually("all of them", lambda: bridge.stats.settled == written)

    assert world.outcomes()["rejected"] == 1
    (dead,) = world.dead()
    assert world.header(dead, "kallback-dead-reason") == "parked"
    assert "while others were: " in world.header(dead, "kallback-dead-detail")
    assert world.committed() == written


async def test_a_parked_record_can_be_replayed(world: Any, mint: Any) -> None:
    """When the cause is gone it is judged anew, and delivered."""
    text = mint.sign()
    poison = {text}
    poisoned(world, poison, Retry("500", "poison"))
    world.broker.append(mint.completed(text))
    async with world.bridge(replace(OPTIONS, park_after=0.0)) as bridge:
        while not bridge.stats.reasons["parked"]:
            world.broker.append(mint.completed())
            await asyncio.sleep(0.002)
        poison.clear()
        world.posted.clear()
        world.broker.append(mint.completed(text))
        await eventually("the replay", lambda: any(it.token == text for it in world.posted))
        await eventually("all of them", lambda: bridge.stats.settled == bridge.stats.fetched)

    assert world.outcomes()["rejected"] == 1
    assert world.settled[-1].outcome == "delivered"


async def test_the_failure_of_a_whole_batch_parks_nobody(world: Any, mint: Any) -> None:
    """A call of many that times out, or was never sent, says nothing of each: good results must not die of it."""
    text = mint.sign()
    slow = {text}
    poisoned(world, slow, Retry("timeout", "no answer in time", shared=True))
    world.broker.append(mint.completed(text))
    async with world.bridge(replace(OPTIONS, park_after=0.0)) as bridge:
        for _ in range(50):
            world.broker.append(mint.completed())
        await eventually("the others, and more tries", lambda: bridge.stats.settled == 50 and bridge.stats.retries > 5)
        slow.clear()
        await eventually("all of them", lambda: bridge.stats.settled == 51)

    assert world.outcomes() == {"delivered": 51}


async def test_copies_of_a_parked_record_share_its_fate(world: Any, mint: Any) -> None:
    """They complete the same awakeable."""
    text = mint.sign()
    poisoned(world, {text}, Retry("500", "poison"))
    async with world.bridge(replace(OPTIONS, park_after=0.0)) as bridge:
        world.hold.clear()
        world.broker.append(mint.completed(text))
        world.broker.append(mint.completed(text))
        await eventually("both", lambda: bridge.stats.in_flight == 2)
        world.hold.set()
        while bridge.stats.reasons["parked"] < 2:
            world.broker.append(mint.completed())
            await asyncio.sleep(0.002)

    assert world.outcomes()["rejected"] == 2


async def test_an_unusable_result_whose_task_cannot_be_failed_stays_unusable(world: Any, mint: Any) -> None:
    """The dead letter says both."""
    text = mint.sign()
    poisoned(world, {text}, Retry("500", "poison"))
    world.broker.append(mint.completed(text, b"oops"))
    async with world.bridge(replace(OPTIONS, park_after=0.0)):
        while not world.dead():
            world.broker.append(mint.completed())
            await asyncio.sleep(0.002)

    (dead,) = world.dead()
    assert world.header(dead, "kallback-dead-reason") == "not-json"
    assert "could not be failed" in world.header(dead, "kallback-dead-detail")


async def test_a_partition_of_poison_does_not_stop_the_other_one(
    world: Any, mint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More poison than may be in flight of one partition, and the other partition is drained."""
    monkeypatch.setattr("kallback.bridge.pipeline.fetcher.PATIENCE", 0.01)
    world.broker._logs[TopicPartition("kallback.results", 1)] = []
    poison = [mint.completed(value=b'"poison"') for _ in range(300)]

    def answer(completion: Completion) -> Reply:
        bad = completion.answer == Completed(b'"poison"')
        return Retry("500", "poison", overloaded=True) if bad else Accepted()

    world.reply = answer
    bad, good = keys_of_two_partitions(world)
    for each in poison:
        world.broker.append(replace_key(each, bad))
    options = replace(
        OPTIONS, unavailable_after=5, max_in_flight=200, partition_in_flight=100, concurrency=8, drain_timeout=0.0
    )
    async with world.bridge(options) as bridge:
        await eventually("a partition full of poison", lambda: bridge.stats.in_flight >= 100, interval=0.002)
        await eventually("a shut valve", lambda: bridge.stats.unavailable and not bridge._in_flight._open.is_set())
        seen = bridge.stats.retries
        await eventually("vain probes", lambda: bridge.stats.retries > seen + 50, interval=0.002)
        world.monotonic += 30.0
        for _ in range(500):
            world.broker.append(replace_key(mint.completed(), good))
        await eventually("the other partition", lambda: world.outcomes().get("delivered") == 500, timeout=20)

    assert world.dead() == []


async def test_requests_that_hang_leave_room_for_the_others(world: Any, mint: Any) -> None:
    """What failed before takes a quarter of what may be under way, even if it hangs there."""
    tried: set[str] = set()
    poison = {mint.sign() for _ in range(20)}

    async def answer(completion: Completion) -> Reply:
        if completion.token in poison:
            if completion.token in tried:
                await asyncio.sleep(60)
            tried.add(completion.token)
            return Retry("500", "poison")
        return Accepted()

    world.completer = FunctionCompleter(answer)
    for text in poison:
        world.broker.append(mint.completed(text))
    async with world.bridge(replace(OPTIONS, concurrency=8, drain_timeout=0.0)):
        await eventually("the first failures", lambda: tried == poison, interval=0.002)
        for _ in range(100):
            world.broker.append(mint.completed())
        await world.settle(100)

    assert world.outcomes() == {"delivered": 100}


async def test_records_in_trouble_of_their_own_are_no_outage(world: Any, mint: Any) -> None:
    """However many of them fail in a row, when others got through in between."""
    poison = {mint.sign() for _ in range(30)}
    poisoned(world, poison, Retry("500", "poison"))
    for text in poison:
        world.broker.append(mint.completed(text))
    away: list[int] = []
    slow = replace(OPTIONS, unavailable_after=40, backoff=Backoff(first=0.05, longest=0.05), drain_timeout=0.0)
    async with world.bridge(slow) as bridge:
        await eventually("a failure of each", lambda: bridge.stats.retries >= 30, interval=0.002)
        world.broker.append(mint.completed())
        await world.settle(1)
        bridge._dispatcher._breaker._unavailable_after = 5
        bridge._dispatcher._listener = replace(bridge._dispatcher._listener, away=lambda: away.append(1))
        await eventually("another failure of each", lambda: bridge.stats.retries >= 60, interval=0.002)

    assert away == []


def replace_key(record: Any, key: bytes) -> Any:
    """The same record in another partition."""
    return type(record)(record.topic, record.value, key, record.headers)


def keys_of_two_partitions(world: Any) -> tuple[bytes, bytes]:
    """Keys that fall into partition 0 and 1."""
    found: dict[int, bytes] = {}
    world.broker.create_topic("probe", partitions=2)
    for number in range(100):
        key = b"key-%d" % number
        found.setdefault(world.broker.append(OutgoingRecord("probe", b"", key)).partition, key)
    return found[0], found[1]
