"""A record that cannot be completed while others can is parked; an outage parks nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import RecordFactory

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
from kallback.bridge.in_flight.limits import InFlightLimit
from kallback.bridge.in_flight.parking import FailureKind, Parking, RetryBudget
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.kafka import ConsumerOptions, OutgoingRecord, Record, TopicPartition
from kallback.protocol import Completed
from kallback.testing.polling import eventually

QUICK = Backoff(first=0.001, longest=0.002)
OPTIONS = BridgeOptions(backoff=QUICK, unavailable_after=50)


class ParkingEnv:
    """A parking whose clock and successes are the test's."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        context = BridgeContext(BridgeOptions(**options), Clocks(monotonic=lambda: self.now))
        self.in_flight = InFlightLimit(context)
        self.parking = Parking(self.in_flight, context)
        self.budget = RetryBudget()
        self.fetched = self.acquire(0)

    def acquire(self, offset: int) -> FetchedRecord:
        """A record in flight."""
        fetched = FetchedRecord(Record("t", 0, offset, 0, None, b"", ()), None)  # type: ignore[arg-type] # nobody is told
        self.in_flight.acquire(fetched)
        return fetched

    def fail(self, *, at: float, accepted: int = 0) -> FailureKind:
        """The record fails once more, after others were accepted."""
        for _ in range(accepted):
            self.parking.accepted()
        self.now = at
        return self.parking.failed(self.budget, self.fetched, "500")


def test_age_alone_parks_nothing() -> None:
    """A day's outage is no fault of the record."""
    parking = ParkingEnv()
    assert {parking.fail(at=float(hour) * 3600) for hour in range(24)} == {FailureKind.UNKNOWN}


def test_the_first_failure_says_nothing_of_the_record() -> None:
    """Others were accepted before it, and then Restate may have died."""
    assert ParkingEnv().fail(at=0.0, accepted=5) is FailureKind.UNKNOWN


def test_a_record_that_others_overtake_for_long_is_given_up() -> None:
    """After fifteen minutes of it."""
    parking = ParkingEnv()
    found = [parking.fail(at=minute * 60.0, accepted=1) for minute in range(16)]
    assert found == [FailureKind.UNKNOWN, *[FailureKind.RECORD] * 14, FailureKind.EXHAUSTED]


def test_only_the_time_counts_in_which_others_got_through() -> None:
    """An hour's outage in between adds nothing."""
    parking = ParkingEnv()
    parking.fail(at=0.0)
    parking.fail(at=600.0, accepted=1)
    parking.fail(at=4200.0)
    assert (parking.fail(at=4499.0, accepted=1), parking.fail(at=4501.0, accepted=1)) == (
        FailureKind.RECORD,
        FailureKind.EXHAUSTED,
    )


def test_where_its_partition_waits_for_it_a_minute_suffices() -> None:
    """The commit window is nearly used up."""
    parking = ParkingEnv(consumer=ConsumerOptions(window=100))
    parking.fail(at=0.0)
    early = parking.fail(at=61.0, accepted=1)
    parking.acquire(80)
    assert (early, parking.fail(at=62.0, accepted=1)) == (FailureKind.RECORD, FailureKind.EXHAUSTED)


def test_never_means_never() -> None:
    """Who wants to wait for a repair may."""
    parking = ParkingEnv(park_after=None)
    parking.fail(at=0.0)
    assert parking.fail(at=1e9, accepted=1) is FailureKind.RECORD


def poisoned(env: BridgeEnv, poison: set[str], reply: Reply) -> None:
    """Let Restate refuse these tokens, and take all others."""

    def answer(completion: Completion) -> Reply:
        return reply if completion.token in poison else Accepted()

    env.reply = answer


@pytest.mark.parametrize("reply", [Retry("500", "poison"), Misconfigured("403", "a firewall's page")])
async def test_a_poison_record_is_parked_and_the_rest_is_delivered(
    env: BridgeEnv, make: RecordFactory, reply: Reply
) -> None:
    """It becomes a dead letter with Restate's words, its offset is done."""
    text = make.sign()
    poisoned(env, {text}, reply)
    env.broker.append(make.completed(text))
    async with env.bridge(replace(OPTIONS, park_after=60.0)) as bridge:
        for _ in range(200):
            env.monotonic += 1.0
            env.broker.append(make.completed())
            if bridge.stats.reasons["parked"]:
                break
            await asyncio.sleep(0.005)
        written = len(env.broker.records("kallback.results"))
        await eventually("all of them", lambda: bridge.stats.settled == written)

    assert env.outcomes()["rejected"] == 1
    (dead,) = env.dead_letters()
    assert env.header(dead, "kallback-dead-reason") == "parked"
    assert "while others were: " in env.header(dead, "kallback-dead-detail")
    assert env.committed() == written


async def test_a_parked_record_can_be_replayed(env: BridgeEnv, make: RecordFactory) -> None:
    """When the cause is gone it is judged anew, and delivered."""
    text = make.sign()
    poison = {text}
    poisoned(env, poison, Retry("500", "poison"))
    env.broker.append(make.completed(text))
    async with env.bridge(replace(OPTIONS, park_after=0.0)) as bridge:
        while not bridge.stats.reasons["parked"]:
            env.broker.append(make.completed())
            await asyncio.sleep(0.002)
        poison.clear()
        env.posted.clear()
        env.broker.append(make.completed(text))
        await eventually("the replay", lambda: any(it.token == text for it in env.posted))
        await eventually("all of them", lambda: bridge.stats.settled == bridge.stats.fetched)

    assert env.outcomes()["rejected"] == 1
    assert env.settled[-1].outcome == "delivered"


async def test_the_failure_of_a_whole_batch_parks_nobody(env: BridgeEnv, make: RecordFactory) -> None:
    """A call of many that times out, or was never sent, says nothing of each: good results must not die of it."""
    text = make.sign()
    slow = {text}
    poisoned(env, slow, Retry("timeout", "no answer in time", shared=True))
    env.broker.append(make.completed(text))
    async with env.bridge(replace(OPTIONS, park_after=0.0)) as bridge:
        for _ in range(50):
            env.broker.append(make.completed())
        await eventually("the others, and more tries", lambda: bridge.stats.settled == 50 and bridge.stats.retries > 5)
        slow.clear()
        await eventually("all of them", lambda: bridge.stats.settled == 51)

    assert env.outcomes() == {"delivered": 51}


async def test_duplicates_of_a_parked_record_share_its_outcome(env: BridgeEnv, make: RecordFactory) -> None:
    """They complete the same awakeable."""
    text = make.sign()
    poisoned(env, {text}, Retry("500", "poison"))
    async with env.bridge(replace(OPTIONS, park_after=0.0)) as bridge:
        env.hold.clear()
        env.broker.append(make.completed(text))
        env.broker.append(make.completed(text))
        await eventually("both", lambda: bridge.stats.in_flight == 2)
        env.hold.set()
        while bridge.stats.reasons["parked"] < 2:
            env.broker.append(make.completed())
            await asyncio.sleep(0.002)

    assert env.outcomes()["rejected"] == 2


async def test_an_unusable_result_whose_task_cannot_be_failed_stays_unusable(
    env: BridgeEnv, make: RecordFactory
) -> None:
    """The dead letter says both."""
    text = make.sign()
    poisoned(env, {text}, Retry("500", "poison"))
    env.broker.append(make.completed(text, b"oops"))
    async with env.bridge(replace(OPTIONS, park_after=0.0)):
        while not env.dead_letters():
            env.broker.append(make.completed())
            await asyncio.sleep(0.002)

    (dead,) = env.dead_letters()
    assert env.header(dead, "kallback-dead-reason") == "not-json"
    assert "could not be failed" in env.header(dead, "kallback-dead-detail")


async def test_a_partition_of_poison_does_not_stop_the_other_one(
    env: BridgeEnv, make: RecordFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More poison than may be in flight of one partition, and the other partition is drained."""
    monkeypatch.setattr("kallback.bridge.pipeline.fetcher.FETCH_TIMEOUT_S", 0.01)
    env.broker._logs[TopicPartition("kallback.results", 1)] = []
    poison = [make.completed(value=b'"poison"') for _ in range(300)]

    def answer(completion: Completion) -> Reply:
        bad = completion.answer == Completed(b'"poison"')
        return Retry("500", "poison", overloaded=True) if bad else Accepted()

    env.reply = answer
    bad, good = keys_of_two_partitions(env)
    for each in poison:
        env.broker.append(replace_key(each, bad))
    options = replace(
        OPTIONS, unavailable_after=5, max_in_flight=200, partition_in_flight=100, concurrency=8, drain_timeout=0.0
    )
    async with env.bridge(options) as bridge:
        await eventually("a partition full of poison", lambda: bridge.stats.in_flight >= 100, interval=0.002)
        await eventually("a shut valve", lambda: bridge.stats.unavailable)
        seen = bridge.stats.retries
        await eventually("vain probes", lambda: bridge.stats.retries > seen + 50, interval=0.002)
        env.monotonic += 30.0
        for _ in range(500):
            env.broker.append(replace_key(make.completed(), good))
        await eventually("the other partition", lambda: env.outcomes().get("delivered") == 500, timeout=20)

    assert env.dead_letters() == []


async def test_requests_that_hang_leave_room_for_the_others(env: BridgeEnv, make: RecordFactory) -> None:
    """What failed before takes a quarter of what may be under way, even if it hangs there."""
    tried: set[str] = set()
    poison = {make.sign() for _ in range(20)}

    async def answer(completion: Completion) -> Reply:
        if completion.token in poison:
            if completion.token in tried:
                await asyncio.sleep(60)
            tried.add(completion.token)
            return Retry("500", "poison")
        return Accepted()

    env.completer = FunctionCompleter(answer)
    for text in poison:
        env.broker.append(make.completed(text))
    async with env.bridge(replace(OPTIONS, concurrency=8, drain_timeout=0.0)):
        await eventually("the first failures", lambda: tried == poison, interval=0.002)
        for _ in range(100):
            env.broker.append(make.completed())
        await env.settle(100)

    assert env.outcomes() == {"delivered": 100}


def replace_key(record: Any, key: bytes) -> Any:
    """The same record in another partition."""
    return type(record)(record.topic, record.value, key, record.headers)


def keys_of_two_partitions(env: BridgeEnv) -> tuple[bytes, bytes]:
    """Keys that fall into partition 0 and 1."""
    found: dict[int, bytes] = {}
    env.broker.create_topic("probe", partitions=2)
    for number in range(100):
        key = b"key-%d" % number
        found.setdefault(env.broker.append(OutgoingRecord("probe", b"", key)).partition, key)
    return found[0], found[1]
