"""Many records that are not authenticated: what they cost, and what they do not delay."""

from __future__ import annotations

import json
from collections import Counter

from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import RecordFactory

from kallback.bridge import BridgeOptions
from kallback.kafka import ConsumerOptions, DeadLetter, OutgoingRecord, read_entry
from kallback.protocol import Keyring, Outcome
from kallback.settings import DeadLetterSettings
from kallback.testing.polling import eventually

FORGER = Keyring({"k1": b"2" * 32})
ONE_A_SECOND = DeadLetterSettings(per_second=1)
WHOLE = 10
"""Dead letters that `ONE_A_SECOND` writes whole at once."""


def flood(env: BridgeEnv, make: RecordFactory, count: int) -> None:
    """Write forged results."""
    for _ in range(count):
        env.broker.append(make.completed(make.sign(keyring=FORGER)))


def letters_of(env: BridgeEnv) -> list[DeadLetter]:
    """The dead letters, all written by kallback."""
    return [entry for entry in map(read_entry, env.dead_letters()) if isinstance(entry, DeadLetter)]


async def test_forged_records_beyond_the_rate_are_counted(env: BridgeEnv, make: RecordFactory) -> None:
    """Each record is in exactly one dead letter, and each is done."""
    env.letters = ONE_A_SECOND
    flood(env, make, 3_000)
    async with env.bridge() as bridge:
        await env.settle(3_000)
    letters = letters_of(env)
    assert sum(letter.count for letter in letters) == 3_000
    assert sum(letter.summary is None for letter in letters) == WHOLE
    assert len(letters) < 50
    assert (env.committed(), bridge.stats.summarized) == (3_000, Counter({"wrong-tag": 3_000 - WHOLE}))
    assert (bridge.stats.in_flight, bridge.stats.set_aside, bridge.stats.in_flight_bytes) == (0, 0, 0)


async def test_a_verified_result_behind_a_flood_does_not_wait_for_its_dead_letters(
    env: BridgeEnv, make: RecordFactory
) -> None:
    """Kafka accepts no dead letter, and more forged records lie before the result than may be in flight."""
    env.letters = ONE_A_SECOND
    options = BridgeOptions(
        max_in_flight=200, partition_in_flight=100, drain_timeout=0.0, consumer=ConsumerOptions(drain_timeout=0.0)
    )
    flood(env, make, 5_000)
    env.broker.append(make.completed())
    async with env.bridge(options):
        env.broker.available = False
        await eventually("the good result", lambda: len(env.posted) == 1)
    assert env.committed() == 0


async def test_a_flood_is_handed_out_in_runs(env: BridgeEnv, make: RecordFactory) -> None:
    """Once records are counted, those that follow pass the bridge together, and good ones between them alone."""
    env.letters = ONE_A_SECOND
    flood(env, make, 2_000)
    env.broker.append(make.completed())
    flood(env, make, 2_000)
    async with env.bridge():
        settled = await env.settle(4_001)
    assert len(settled) < 1_000
    assert sum(each.count for each in settled) == 4_001
    assert [each.count for each in settled if each.outcome is Outcome.DELIVERED] == [1]
    assert sum(letter.count for letter in letters_of(env)) == 4_000


async def test_summaries_that_grow_while_kafka_is_away_are_bounded(env: BridgeEnv, make: RecordFactory) -> None:
    """Many ranges do not fit into one summary: each that is written can be read."""
    env.letters = ONE_A_SECOND
    for _ in range(1_200):
        flood(env, make, 1)
        env.broker.append(OutgoingRecord("kallback.results", b"no token"))
    async with env.bridge() as bridge:
        env.broker.available = False
        await eventually("all to be read", lambda: bridge.stats.fetched == 2_400)
        env.broker.available = True
        await env.settle(2_400)
    assert sum(letter.count for letter in letters_of(env)) == 2_400


async def test_counted_records_are_not_done_before_their_summary_is_durable(
    env: BridgeEnv, make: RecordFactory
) -> None:
    """Kafka accepts no dead letter for a while; then everything is settled once."""
    env.letters = ONE_A_SECOND
    flood(env, make, 500)
    async with env.bridge() as bridge:
        env.broker.available = False
        await eventually("all to be set aside", lambda: bridge.stats.set_aside == 500 - WHOLE)
        await eventually("a failed write", lambda: bridge.stats.write_retries > 0)
        assert env.settled == []
        env.broker.available = True
        await env.settle(500)
    assert (env.committed(), sum(letter.count for letter in letters_of(env))) == (500, 500)


async def test_a_stop_writes_the_summaries_that_grow(env: BridgeEnv, make: RecordFactory) -> None:
    """Nothing of a flood comes again after a stop in good order."""
    env.letters = ONE_A_SECOND
    flood(env, make, 300)
    async with env.bridge() as bridge:
        await eventually("all to be read", lambda: bridge.stats.fetched == 300)
    assert (env.committed(), bridge.stats.outcomes) == (300, Counter({Outcome.UNVERIFIED: 300}))


async def test_different_records_with_verified_tokens_are_never_counted_in_a_summary(
    env: BridgeEnv, make: RecordFactory
) -> None:
    """A late result is written whole, however many there are."""
    env.letters = ONE_A_SECOND
    for _ in range(100):
        env.broker.append(make.completed(make.sign(make.token(deadline=-3600.0))))
    async with env.bridge():
        await env.settle(100)
    assert [letter.summary for letter in letters_of(env)] == [None] * 100


async def test_one_outcome_record_speaks_of_a_summary(env: BridgeEnv, make: RecordFactory) -> None:
    """It says how many records it counts."""
    env.letters = ONE_A_SECOND
    flood(env, make, 400)
    async with env.bridge(BridgeOptions(outcomes=True)):
        await env.settle(400)
    lines = [json.loads(record.value or b"") for record in env.broker.records("kallback.outcomes")]
    assert sum(line.get("count", 1) for line in lines) == 400
    assert {(line["outcome"], line["reason"]) for line in lines} == {("unverified", "wrong-tag")}


async def test_large_forged_records_hold_a_bounded_number_of_bytes(env: BridgeEnv, make: RecordFactory) -> None:
    """What would not fit is counted, though the rate would admit it."""
    for _ in range(40):
        env.broker.append(make.completed(make.sign(keyring=FORGER), value=b"x" * 1_000_000))
    async with env.bridge() as bridge:
        env.broker.available = False
        await eventually("those that do not fit to be set aside", lambda: bridge.stats.set_aside == 32)
        held = bridge.stats.in_flight_bytes
        env.broker.available = True
        await env.settle(40)
    assert held <= 8 * 1024 * 1024
    assert sum(letter.count for letter in letters_of(env)) == 40


async def test_summaries_are_small_when_the_bytes_of_the_hour_are_used_up(env: BridgeEnv, make: RecordFactory) -> None:
    """Two reasons in turn make each record a range of its own; then a summary spans what lies between."""
    env.letters = DeadLetterSettings(per_second=1, bytes_per_hour=1)
    for _ in range(600):
        flood(env, make, 1)
        env.broker.append(OutgoingRecord("kallback.results", b"no token"))
    async with env.bridge():
        await env.settle(1_200)
    summaries = [letter.summary for letter in letters_of(env)]
    assert sum(each.count for each in summaries if each is not None) == 1_200
    assert max(len(each.ranges) for each in summaries if each is not None) == 1
