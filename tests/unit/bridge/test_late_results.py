"""What is done with late results: dead letter, drop, or a Restate handler that takes them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import RecordFactory

from kallback.bridge import Accepted, Backoff, BridgeOptions, Rejected, Retry
from kallback.bridge.results.late_policy import DropLate, LatePolicies, ToDeadLetters, ToHandler, read_policies
from kallback.protocol import ConfigurationError, read_outcome
from kallback.testing.polling import eventually

QUICK = BridgeOptions(backoff=Backoff(first=0.001, longest=0.002))
ORPHANS = replace(QUICK, late=read_policies(["handler:Orphans/take"]))


def late(make: RecordFactory, value: bytes = b'{"n":1.10}') -> Any:
    """A result that comes a minute after its deadline."""
    return make.completed(make.sign(make.token(deadline=-60)), value)


def test_without_a_word_late_results_are_dead_letters() -> None:
    """Nothing is lost by default."""
    assert read_policies([]).of("any") == ToDeadLetters()


def test_each_task_type_may_have_its_own_policy() -> None:
    """The one without a type is for all others."""
    policies = read_policies(["drop", "a.b=handler:Orphans/take", "c=dead-letter"])
    assert [policies.of(name) for name in ("a.b", "c", "d")] == [
        ToHandler("Orphans", "take"),
        ToDeadLetters(),
        DropLate(),
    ]


@pytest.mark.parametrize(
    "texts",
    [
        ["keep"],
        ["handler:"],
        ["handler:Orphans"],
        ["handler:A/b/c"],
        ["handler:A/../x"],
        ["=drop"],
        ["a=drop", "a=drop"],
    ],
)
def test_a_policy_that_says_nothing_is_refused_at_the_start(texts: list[str]) -> None:
    """The sentence quotes it."""
    with pytest.raises(ConfigurationError, match="late policy"):
        read_policies(texts)


async def test_a_dropped_one_leaves_no_dead_letter(env: BridgeEnv, make: RecordFactory) -> None:
    """Its outcome is late, and its offset done."""
    env.broker.append(late(make))
    async with env.bridge(replace(QUICK, late=LatePolicies(DropLate()))):
        await env.settle(1)

    assert (env.settled[0].outcome, env.settled[0].reason) == ("late", "late-dropped")
    assert (env.dead_letters(), env.posted, env.committed()) == ([], [], 1)


@pytest.mark.parametrize(("deadline", "reason"), [(-5.0, "after-deadline"), (60.0, None), (None, None)])
async def test_a_result_in_the_grace_says_that_its_deadline_had_passed(
    env: BridgeEnv, make: RecordFactory, deadline: float | None, reason: str | None
) -> None:
    """It is delivered, and its handler may have gone on: more is not known."""
    env.broker.append(make.completed(make.sign(make.token(deadline=deadline))))
    async with env.bridge(replace(QUICK, outcomes=True)):
        await env.settle(1)

    [outcome] = [read_outcome(record.value) for record in env.broker.records("kallback.outcomes")]
    assert outcome is not None
    assert (outcome.outcome, outcome.reason) == ("delivered", reason)


async def test_a_handler_is_given_the_result(env: BridgeEnv, make: RecordFactory) -> None:
    """With what it needs to know of the task, the value's bytes as they were sent."""
    token = make.token(deadline=-60)
    env.broker.append(make.completed(make.sign(token), b'{"n":1.10}'))
    async with env.bridge(ORPHANS):
        await env.settle(1)

    ((where, result),) = env.handled
    body = result.body()
    assert (where, b'"value":{"n":1.10}}' in body) == ("Orphans/take", True)
    assert json.loads(body) == {
        "task": token.task_id,
        "attempt": 1,
        "type": "kitchen.prepare",
        "deadline": token.deadline_ms,
        "at": int(env.now * 1000),
        "status": "completed",
        "value": {"n": 1.1},
    }
    assert result.key == f"{token.task_id}-1"
    assert (env.settled[0].reason, env.dead_letters(), env.committed()) == ("late-handled", [], 1)


async def test_a_late_failure_is_handed_over_too(env: BridgeEnv, make: RecordFactory) -> None:
    """As the problem that the worker reported."""
    env.broker.append(make.failed(make.sign(make.token(deadline=-60))))
    async with env.bridge(ORPHANS):
        await env.settle(1)

    body = json.loads(env.handled[0][1].body())
    assert (body["status"], body["error"]) == ("failed", {"detail": "no basil"})


async def test_the_offset_is_done_only_when_restate_has_taken_it(env: BridgeEnv, make: RecordFactory) -> None:
    """Until then it is tried again, and nothing is committed."""
    env.handler_reply = lambda _: Retry("503", "away")
    env.broker.append(late(make))
    async with env.bridge(ORPHANS):
        await eventually("attempts", lambda: len(env.handled) > 3, interval=0.002)
        before = (list(env.settled), env.consumers[0].unfinished())
        env.handler_reply = lambda _: Accepted()
        await env.settle(1)

    assert (before, env.committed(), env.dead_letters()) == (([], 1), 1, [])


async def test_one_that_is_not_taken_before_a_stop_comes_again(env: BridgeEnv, make: RecordFactory) -> None:
    """It is neither done nor lost."""
    env.handler_reply = lambda _: Retry("503", "away")
    env.broker.append(late(make))
    async with env.bridge(replace(ORPHANS, drain_timeout=0.0)):
        await eventually("attempts", lambda: len(env.handled) > 3, interval=0.002)

    assert (env.settled, env.committed()) == ([], 0)


async def test_what_a_handler_refuses_is_a_dead_letter_after_all(env: BridgeEnv, make: RecordFactory) -> None:
    """With its words."""
    env.handler_reply = lambda _: Rejected("the handler Orphans/take answers 400")
    env.broker.append(late(make))
    async with env.bridge(ORPHANS):
        await env.settle(1)

    (dead,) = env.dead_letters()
    assert env.header(dead, "kallback-dead-reason") == "late"
    assert "answers 400" in env.header(dead, "kallback-dead-detail")


async def test_what_a_handler_never_takes_is_a_dead_letter_after_all(env: BridgeEnv, make: RecordFactory) -> None:
    """As a completion would be parked: while others get through."""
    env.handler_reply = lambda _: Retry("500", "it fails")
    env.broker.append(late(make))
    async with env.bridge(replace(ORPHANS, park_after=0.0)):
        while not env.dead_letters():
            env.broker.append(make.completed())
            await asyncio.sleep(0.002)

    assert env.header(env.dead_letters()[0], "kallback-dead-reason") == "late"


async def test_no_handler_is_given_what_is_no_result(env: BridgeEnv, make: RecordFactory) -> None:
    """It could not even be put into the body."""
    env.broker.append(late(make, b"oops"))
    async with env.bridge(ORPHANS):
        await env.settle(1)

    assert env.handled == []
    assert "no result that a handler could be given" in env.header(env.dead_letters()[0], "kallback-dead-detail")


async def test_handlers_that_do_not_answer_hold_nobody_up(env: BridgeEnv, make: RecordFactory) -> None:
    """More late results than may be sent at one time, all failing: completions go on."""
    env.handler_reply = lambda _: Retry("503", "away")
    for _ in range(100):
        env.broker.append(late(make))
    for _ in range(50):
        env.broker.append(make.completed())
    async with env.bridge(replace(ORPHANS, drain_timeout=0.0)):
        await env.settle(50)

    assert env.outcomes() == {"delivered": 50}


async def test_the_handlers_are_looked_for_at_the_start(env: BridgeEnv) -> None:
    """Those of every type."""
    policies = read_policies(["handler:A/x", "t=handler:B/y", "u=drop"])
    async with env.bridge(replace(QUICK, late=policies)):
        assert env.wanted == {ToHandler("A", "x"), ToHandler("B", "y")}
