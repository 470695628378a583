"""Each record becomes exactly one outcome, durable before its offset is done."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence

import pytest
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import AUDIENCE, RecordFactory

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
from kallback.protocol import Completed, Failed, Keyring, Outcome, Problem, check_json, read_outcome
from kallback.protocol.long_tasks.hand_backs import hand_back
from kallback.testing.polling import eventually

OUTCOMES = BridgeOptions(outcomes=True)


async def test_a_result_is_delivered(env: BridgeEnv, make: RecordFactory) -> None:
    """The completion says what the worker said; the offset is done."""
    token = make.token()
    env.broker.append(make.completed(make.sign(token), b"[1]"))

    async with env.bridge():
        await env.settle(1)

    (posted,) = env.posted
    assert (posted.target, posted.answer) == (token, Completed(b"[1]"))
    assert (env.outcomes(), env.committed(), env.dead_letters()) == ({"delivered": 1}, 1, [])


async def test_a_duplicate_of_a_delivered_result_is_a_duplicate(env: BridgeEnv, make: RecordFactory) -> None:
    """It is not posted again."""
    record = make.completed()
    async with env.bridge():
        env.broker.append(record)
        await env.settle(1)
        env.broker.append(record)
        await env.settle(2)

    assert (len(env.posted), env.outcomes(), env.committed()) == (1, {"delivered": 1, "duplicate": 1}, 2)


async def test_a_duplicate_of_one_in_flight_shares_its_outcome(env: BridgeEnv, make: RecordFactory) -> None:
    """It is done when the first is delivered, not before."""
    env.hold.clear()
    record = make.completed()
    async with env.bridge() as bridge:
        env.broker.append(record)
        env.broker.append(record)
        await eventually("both records", lambda: bridge.stats.in_flight == 2)
        before = env.outcomes()
        env.hold.set()
        await env.settle(2)

    assert (before, env.outcomes(), len(env.posted)) == ({}, {"delivered": 1, "duplicate": 1}, 1)


async def test_a_late_result_is_dead_lettered(env: BridgeEnv, make: RecordFactory) -> None:
    """Nobody waits for it, so nothing is posted."""
    env.broker.append(make.completed(make.sign(make.token(deadline=-31))))

    async with env.bridge():
        await env.settle(1)

    assert (env.outcomes(), env.posted, env.committed()) == ({"late": 1}, [], 1)
    assert env.header(env.dead_letters()[0], "kallback-dead-reason") == "late"


async def test_an_unusable_result_fails_the_task_and_is_dead_lettered(env: BridgeEnv, make: RecordFactory) -> None:
    """The caller hears of it at once, and the record is kept byte for byte."""
    token = make.token()
    record = make.completed(make.sign(token), b"oops")
    env.broker.append(record)

    async with env.bridge():
        await env.settle(1)

    (posted,) = env.posted
    assert posted.target == token
    assert isinstance(posted.answer, Failed)
    assert posted.answer.problem().type == "urn:kallback:unusable-result"
    (dead,) = env.dead_letters()
    assert (dead.value, dead.headers[: len(record.headers)]) == (record.value, record.headers)
    assert env.header(dead, "kallback-dead-reason") == "not-json"
    assert (env.outcomes(), env.committed()) == ({"unusable": 1}, 1)


async def test_a_result_that_restate_finds_too_large_fails_the_task(env: BridgeEnv, make: RecordFactory) -> None:
    """413 means unusable: the problem is posted in its place."""
    env.reply = lambda it: TooLarge("32 MiB") if isinstance(it.answer, Completed) else Accepted()
    env.broker.append(make.completed(value=b'"large"'))

    async with env.bridge():
        await env.settle(1)

    assert [type(posted.answer) for posted in env.posted] == [Completed, Failed]
    assert (env.outcomes(), env.settled[0].reason) == ({"unusable": 1}, "too-large")
    assert len(env.dead_letters()) == 1


async def test_a_task_that_cannot_even_be_failed_is_dead_lettered(env: BridgeEnv, make: RecordFactory) -> None:
    """A server that refuses everything ends the record, it does not go in circles."""
    env.reply = lambda _: TooLarge("0 bytes")
    env.broker.append(make.completed())

    async with env.bridge():
        await env.settle(1)

    assert (len(env.posted), env.outcomes(), len(env.dead_letters())) == (2, {"unusable": 1}, 1)


async def test_an_unverified_record_is_dead_lettered(env: BridgeEnv) -> None:
    """Nothing is posted for it."""
    env.broker.append(OutgoingRecord("kallback.results", b"{}"))

    async with env.bridge():
        await env.settle(1)

    assert (env.outcomes(), env.posted, env.committed()) == ({"unverified": 1}, [], 1)
    assert env.header(env.dead_letters()[0], "kallback-dead-reason") == "no-token"


async def test_a_rejected_result_is_dead_lettered_with_its_duplicates(env: BridgeEnv, make: RecordFactory) -> None:
    """Restate's words stand in the dead letter."""
    env.hold.clear()
    env.reply = lambda _: Rejected("bad awakeable id")
    record = make.completed()
    async with env.bridge() as bridge:
        env.broker.append(record)
        env.broker.append(record)
        await eventually("both records", lambda: bridge.stats.in_flight == 2)
        env.hold.set()
        await env.settle(2)

    assert (env.outcomes(), len(env.posted)) == ({"rejected": 2}, 1)
    assert env.header(env.dead_letters()[0], "kallback-dead-detail") == "bad awakeable id"


async def test_poison_does_not_stop_the_good(env: BridgeEnv, make: RecordFactory) -> None:
    """A record that fails for ever is overtaken by all the others; only its own offset waits."""
    poison = make.token()
    env.reply = lambda it: Retry("500", "poison") if it.target == poison else Accepted()
    env.broker.append(make.completed(make.sign(poison)))
    for _ in range(500):
        env.broker.append(make.completed())

    async with env.bridge(BridgeOptions(drain_timeout=0.0)):
        await env.settle(500)

    assert (env.outcomes(), env.dead_letters(), env.committed()) == ({"delivered": 500}, [], 0)


async def test_much_poison_does_not_stop_the_good(env: BridgeEnv, make: RecordFactory) -> None:
    """More bad records than make an outage, and nothing else in flight: fresh ones still get through."""
    poison = [make.token() for _ in range(20)]
    env.reply = lambda it: Retry("500", "poison") if it.target in poison else Accepted()
    quick = BridgeOptions(drain_timeout=0.0, backoff=Backoff(first=0.001, longest=0.005))
    async with env.bridge(quick) as bridge:
        for token in poison:
            env.broker.append(make.completed(make.sign(token)))
        await eventually("many failures", lambda: bridge.stats.retries > 100, interval=0.002)
        for _ in range(100):
            env.broker.append(make.completed())
        await env.settle(100)

    assert (env.outcomes(), env.dead_letters()) == ({"delivered": 100}, [])


async def test_a_completer_with_a_defect_loses_nothing(env: BridgeEnv, make: RecordFactory) -> None:
    """An exception where a reply should be is a retry."""
    crashes = iter([True, True, False])

    def reply(_: Completion) -> Reply:
        if next(crashes):
            raise KeyError("defect")
        return Accepted()

    env.reply = reply
    env.broker.append(make.completed())
    async with env.bridge():
        await env.settle(1)

    assert (env.outcomes(), env.dead_letters()) == ({"delivered": 1}, [])


async def test_a_completer_that_miscounts_loses_nothing(env: BridgeEnv, make: RecordFactory) -> None:
    """Without a reply for each, none counts."""
    counts = iter([0, 2, 1])

    class Miscounting(FunctionCompleter):
        async def complete(self, batch: Sequence[Completion]) -> Sequence[Reply]:
            return [Accepted()] * (next(counts) if batch else 0)

    env.completer = Miscounting(env.complete)
    env.broker.append(make.completed())
    async with env.bridge() as bridge:
        await env.settle(1)
    assert (env.outcomes(), bridge.stats.replies["defect"]) == ({"delivered": 1}, 2)


async def test_batches_are_what_has_arrived(env: BridgeEnv, make: RecordFactory) -> None:
    """A completer that takes many at once gets many at once, and each its own reply."""
    for number in range(100):
        env.broker.append(make.completed(value=str(number).encode()))

    def is_odd(completion: Completion) -> bool:
        return isinstance(completion.answer, Completed) and bool(int(completion.answer.value) % 2)

    env.reply = lambda it: Rejected("odd") if is_odd(it) else Accepted()

    async with env.bridge(BridgeOptions(concurrency=2), batch_limit=50):
        await env.settle(100)

    assert env.outcomes() == {"delivered": 50, "rejected": 50}


async def test_outcome_records_are_written_before_the_offset_is_done(env: BridgeEnv, make: RecordFactory) -> None:
    """With Kafka refusing them, nothing is done; with Kafka back, one for each record."""
    token = make.token()
    env.broker.append(make.completed(make.sign(token)))
    async with env.bridge(OUTCOMES) as bridge:
        env.broker.available = False
        await eventually("the post", lambda: env.posted)
        before = env.settled.copy()
        env.broker.available = True
        await env.settle(1)
        assert bridge.stats.outcomes[Outcome.DELIVERED] == 1

    (line,) = env.broker.records("kallback.outcomes")
    assert before == []
    assert line.key == token.task_id.encode()
    assert json.loads(line.value or b"") | {"source": None, "at": None} == {
        "kallback": 1,
        "outcome": "delivered",
        "type": "kitchen.prepare",
        "task": token.task_id,
        "attempt": 1,
        "did": "completed",
        "source": None,
        "at": None,
    }


async def test_an_outcome_record_tells_a_failure_from_a_success(env: BridgeEnv, make: RecordFactory) -> None:
    """Both are delivered; a worker that stops has failed nothing."""
    for answer in (b"", Problem("OutOfStock").encode(), hand_back(b"", "").encode()):
        signed = make.sign(make.token())
        env.broker.append(make.failed(signed, answer) if answer else make.completed(signed))
    async with env.bridge(OUTCOMES):
        await env.settle(3)
    outcomes = [read_outcome(line.value) for line in env.broker.records("kallback.outcomes")]
    assert sorted(each.did or "" for each in outcomes if each) == ["completed", "failed", "handed-back"]


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (Problem("OutOfStock", detail="no basil").encode(), "OutOfStock"),
        (b"null", "about:blank"),
        (b'{"type": 7}', "about:blank"),
        (b'{"type": "%b"}' % (b"x" * 300), "x" * 200),
        (b'{"deep": %b1%b, "type": "Deep"}' % (b"[" * 1000, b"]" * 1000), None),
    ],
)
async def test_an_outcome_record_has_the_type_of_a_failure(
    env: BridgeEnv, make: RecordFactory, answer: bytes, failure: str | None
) -> None:
    """So that a history says why tasks failed; one that cannot be read here is delivered without."""
    env.broker.append(make.failed(make.sign(make.token()), answer))
    async with env.bridge(OUTCOMES):
        await env.settle(1)
    [line] = env.broker.records("kallback.outcomes")
    outcome = read_outcome(line.value)
    assert outcome is not None
    if outcome.outcome is Outcome.DELIVERED:
        assert (outcome.did, outcome.failure) == ("failed", failure)


async def test_an_outcome_record_of_an_unverified_one_says_where_it_lay(env: BridgeEnv) -> None:
    """Without a proven token there is no task to name."""
    env.broker.append(OutgoingRecord("kallback.results", b"{}"))
    async with env.bridge(OUTCOMES):
        await env.settle(1)

    (line,) = env.broker.records("kallback.outcomes")
    body = json.loads(line.value or b"")
    assert (body["outcome"], body["reason"]) == ("unverified", "no-token")
    assert body["source"]["offset"] == 0
    assert "task" not in body


async def test_a_dead_letter_is_durable_before_the_offset_is_done(env: BridgeEnv) -> None:
    """Kafka away: the record waits, and is not done."""
    env.broker.append(OutgoingRecord("kallback.results", b"{}"))
    async with env.bridge() as bridge:
        env.broker.available = False
        await eventually("the record", lambda: bridge.stats.fetched == 1)
        await asyncio.sleep(0.02)
        before = (env.settled.copy(), env.dead_letters())
        env.broker.available = True
        await env.settle(1)

    assert before == ([], [])
    assert (len(env.dead_letters()), env.committed()) == (1, 1)


async def test_outcomes_are_not_written_unless_asked_for(env: BridgeEnv, make: RecordFactory) -> None:
    """The topic is opt-in."""
    env.broker.append(make.completed())
    async with env.bridge():
        await env.settle(1)
    assert env.broker.records("kallback.outcomes") == []


@pytest.mark.parametrize("count", [1, 3000])
async def test_everything_is_committed_when_it_stops(env: BridgeEnv, make: RecordFactory, count: int) -> None:
    """A stop drains what is in flight and commits the positions."""
    for _ in range(count):
        env.broker.append(make.completed())
    async with env.bridge():
        await env.settle(count)
    assert env.committed() == count


LARGE = b"[" + b",".join([b"[]"] * 100_000) + b"]"


@pytest.mark.parametrize("structured", [False, True])
async def test_a_large_value_is_judged_in_a_thread(
    env: BridgeEnv, make: RecordFactory, monkeypatch: pytest.MonkeyPatch, *, structured: bool
) -> None:
    """It holds the event loop for no parsing: results behind it are delivered first."""
    parsed_by: list[threading.Thread] = []

    def parse(data: bytes) -> object:
        parsed_by.append(threading.current_thread())
        return check_json(data)

    monkeypatch.setattr("kallback.protocol.results.check_json", parse)
    text = make.sign()
    in_one = b'{"kallback":{"version":1,"token":"%b"},"data":%b}' % (text.encode(), LARGE)
    env.broker.append(OutgoingRecord(AUDIENCE, in_one) if structured else make.completed(text, LARGE))
    env.broker.append(make.completed())
    async with env.bridge():
        await env.settle(2)
    assert env.outcomes() == {"delivered": 2}
    assert (parsed_by[0] is threading.main_thread(), parsed_by[1] is threading.main_thread()) == (True, False)
    assert (env.settled[-1].record.offset, env.committed()) == (0, 2)


async def test_a_large_value_without_a_valid_token_is_not_parsed(
    env: BridgeEnv, make: RecordFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is verified first, in structured mode as well."""
    parsed: list[bytes] = []
    monkeypatch.setattr("kallback.protocol.results.check_json", parsed.append)
    forged = make.sign(keyring=Keyring({"k1": b"2" * 32}))
    in_one = b'{"kallback":{"version":1,"token":"%b"},"data":%b}' % (forged.encode(), LARGE)
    env.broker.append(OutgoingRecord(AUDIENCE, in_one))
    env.broker.append(make.completed(forged, LARGE))
    async with env.bridge():
        await env.settle(2)
    assert ([settled.reason for settled in env.settled], parsed) == (["wrong-tag"] * 2, [])


async def test_duplicates_of_a_large_result_are_recognized(env: BridgeEnv, make: RecordFactory) -> None:
    """While the first is judged, nothing is known of its token; the second waits, and attaches."""
    text = make.sign()
    for _ in range(3):
        env.broker.append(make.completed(text, LARGE))
    async with env.bridge():
        await env.settle(3)
    assert (env.outcomes(), len(env.posted)) == ({"delivered": 1, "duplicate": 2}, 1)
