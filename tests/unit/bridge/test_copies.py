"""Many results with verified tokens that resume nobody, copies and late ones: what they cost and do not delay."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import RecordFactory

from kallback.bridge import BridgeOptions, Rejected
from kallback.bridge.results.late_policy import LatePolicies, LatePolicy, ToHandler, read_policies
from kallback.kafka import ConsumerOptions, DeadLetter, OutgoingRecord, Position, read_entry
from kallback.protocol import KafkaUnavailableError, Outcome
from kallback.testing.polling import eventually

COPIES = 3_000
SMALL = BridgeOptions(
    max_in_flight=200, partition_in_flight=100, drain_timeout=0.0, consumer=ConsumerOptions(drain_timeout=0.0)
)
"""Fewer may be in flight than come."""


def late(make: RecordFactory, value: bytes = b"1") -> OutgoingRecord:
    """A result that comes an hour after its deadline."""
    return make.completed(make.sign(make.token(deadline=-3600.0)), value)


def letters_of(env: BridgeEnv) -> list[DeadLetter]:
    """The dead letters, all written by kallback."""
    return [entry for entry in map(read_entry, env.dead_letters()) if isinstance(entry, DeadLetter)]


async def test_copies_of_a_late_result_are_counted_beside_its_dead_letter(env: BridgeEnv, make: RecordFactory) -> None:
    """Each record is in exactly one letter, and its bytes are in the first one; the copies come in runs."""
    record = late(make)
    for _ in range(COPIES):
        env.broker.append(record)
    async with env.bridge() as bridge:
        settled = await env.settle(COPIES)
    letters = letters_of(env)
    assert [letter.value for letter in letters if letter.summary is None] == [record.value]
    assert (sum(letter.count for letter in letters), {letter.reason for letter in letters}) == (COPIES, {"late"})
    assert len(letters) < 50
    assert len(settled) < COPIES / 2
    assert (env.committed(), bridge.stats.outcomes) == (COPIES, {Outcome.LATE: COPIES})
    assert (bridge.stats.in_flight, bridge.stats.set_aside, bridge.stats.in_flight_bytes) == (0, 0, 0)


async def test_copies_count_for_the_task_type_of_their_token(env: BridgeEnv, make: RecordFactory) -> None:
    """A metric that says who is late does not change when they are counted."""
    record = late(make)
    for _ in range(COPIES):
        env.broker.append(record)
    async with env.bridge() as bridge:
        await env.settle(COPIES)
    assert bridge.stats.by_task_type.settled == {("kitchen.prepare", Outcome.LATE, "late"): COPIES}


async def test_late_results_of_one_token_with_other_values_are_written_whole(
    env: BridgeEnv, make: RecordFactory
) -> None:
    """Only identical records are copies: each value is kept, also those that come when copies are expected."""
    token = make.sign(make.token(deadline=-3600.0))
    values = [b"%d" % number for number in range(1_000)]
    for value in values:
        env.broker.append(make.completed(token, value))
        env.broker.append(make.completed(token, values[0]))
    async with env.bridge():
        await env.settle(2_000)
    letters = letters_of(env)
    assert [letter.value for letter in letters if letter.summary is None] == values
    assert sum(letter.count for letter in letters) == 2_000


async def test_a_good_result_does_not_wait_for_the_dead_letters_of_late_ones(
    env: BridgeEnv, make: RecordFactory
) -> None:
    """Kafka accepts no dead letter, and more late results lie before it than may be in flight."""
    for _ in range(2_000):
        env.broker.append(late(make))
    env.broker.append(make.completed())
    async with env.bridge(SMALL):
        env.broker.available = False
        await eventually("the good result", lambda: len(env.posted) == 1)
    assert env.committed() == 0


async def test_a_good_result_does_not_wait_for_the_copies_of_an_unusable_one(
    env: BridgeEnv, make: RecordFactory
) -> None:
    """Its task has failed, so they are duplicates, whether or not its dead letter can be written."""
    copy = make.completed(value=b"oops")
    for _ in range(2_000):
        env.broker.append(copy)
    env.broker.append(make.completed())
    async with env.bridge(SMALL):
        env.broker.available = False
        await eventually("both completions", lambda: len(env.posted) == 2)
        assert env.outcomes()["duplicate"] == 1_999
    assert env.committed() == 0


async def test_good_results_with_outcome_records_do_not_wait_for_dead_letters(
    env: BridgeEnv, make: RecordFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dead-letter topic takes nothing, the outcomes topic does: more of both come than have places or writers."""
    taken = threading.Event()
    append = env.broker.append

    def without_letters(record: OutgoingRecord) -> Position:
        if record.topic == "kallback.dead-letters" and not taken.is_set():
            raise KafkaUnavailableError("too few replicas are in sync")
        return append(record)

    monkeypatch.setattr(env.broker, "append", without_letters)
    for _ in range(200):
        env.broker.append(late(make))
    good = 300
    copy = make.completed()
    for _ in range(good):
        env.broker.append(make.completed())
        env.broker.append(copy)
    async with env.bridge(replace(SMALL, outcomes=True, writers=4)):
        await eventually("the good results", lambda: env.outcomes().get("delivered") == good + 1)
        await eventually("the copies", lambda: env.outcomes().get("duplicate") == good - 1)
        assert (env.outcomes().get("late"), env.committed()) == (None, 0)
        taken.set()
        await env.settle(200 + 2 * good)
    assert (len(env.dead_letters()), env.committed()) == (200, 200 + 2 * good)


async def test_late_results_that_wait_for_their_dead_letters_hold_a_bounded_number_of_bytes(
    env: BridgeEnv, make: RecordFactory
) -> None:
    """What does not fit takes places among the records in flight, so reading stops."""
    for _ in range(600):
        env.broker.append(late(make, b'"' + b"x" * 100_000 + b'"'))
    async with env.bridge(SMALL) as bridge:
        env.broker.available = False
        await eventually("reading to stop", lambda: bridge.stats.in_flight >= 420)
        held = bridge.stats.in_flight_bytes
    assert held < 46 * 1024 * 1024


async def test_copies_of_a_delivered_result_come_in_runs(env: BridgeEnv, make: RecordFactory) -> None:
    """Whatever their values are. Outcome records say of which task they are, and how many."""
    token = make.token()
    text = make.sign(token)
    env.broker.append(make.completed(text))
    async with env.bridge(BridgeOptions(outcomes=True)) as bridge:
        await env.settle(1)
        for number in range(COPIES):
            env.broker.append(make.completed(text, b"%d" % number))
        settled = await env.settle(1 + COPIES)
    lines = [json.loads(record.value or b"") for record in env.broker.records("kallback.outcomes")]
    assert (len(env.posted), len(env.dead_letters()), env.committed()) == (1, 0, 1 + COPIES)
    assert bridge.stats.outcomes == {Outcome.DELIVERED: 1, Outcome.DUPLICATE: COPIES}
    assert len(settled) < COPIES / 2
    assert {line["task"] for line in lines} == {token.task_id}
    assert sum(line.get("count", 1) for line in lines if line["outcome"] == "duplicate") == COPIES


@pytest.mark.parametrize(
    ("policy", "reason", "calls"), [("drop", "late-dropped", 0), ("handler:Orphans/take", "late-handled", 1)]
)
async def test_copies_of_a_late_result_without_a_dead_letter_need_nothing(
    env: BridgeEnv, make: RecordFactory, policy: str, reason: str, calls: int
) -> None:
    """A handler is called once for each token: those that come meanwhile wait for the answer."""
    token = make.sign(make.token(deadline=-3600.0))
    for number in range(COPIES):
        env.broker.append(make.completed(token, b"%d" % number))
    async with env.bridge(BridgeOptions(late=read_policies([policy]))) as bridge:
        settled = await env.settle(COPIES)
    assert (len(env.handled), env.dead_letters(), env.committed()) == (calls, [], COPIES)
    assert bridge.stats.reasons == {reason: COPIES}
    assert len(settled) < COPIES / 2


async def test_what_waits_for_a_handler_that_refuses_is_written_whole(env: BridgeEnv, make: RecordFactory) -> None:
    """The values of one token may differ, and none is lost."""
    policy: LatePolicy = ToHandler("Orphans", "take")
    env.handler_reply = lambda _: Rejected("the handler Orphans/take answers 400")
    token = make.sign(make.token(deadline=-3600.0))
    values = [b"%d" % number for number in range(20)]
    for value in values:
        env.broker.append(make.completed(token, value))
    async with env.bridge(BridgeOptions(late=LatePolicies(policy))):
        await env.settle(20)
    assert sorted(letter.value or b"" for letter in letters_of(env)) == sorted(values)
